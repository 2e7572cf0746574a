package beanstalkd

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/bench/peers/pipeline"
)

func TestADelayIsRoundedUpToTheNextSecond(t *testing.T) {
	now := time.Unix(1000, 0)
	for ms, want := range map[int64]string{
		1: "put 1000 1 120 1\r\nx\r\n", 1000: "put 1001 1 120 1\r\nx\r\n",
		1001: "put 1001 2 120 1\r\nx\r\n", -1: "put 999 0 120 1\r\nx\r\n",
	} {
		m := pipeline.Message{Due: now.Add(time.Duration(ms) * time.Millisecond), Body: []byte("x")}
		require.Equal(t, want, string(appendPut(nil, &m, now)), "%d ms", ms)
	}
	require.Equal(t, "put 0 0 120 1\r\nx\r\n", string(appendPut(nil, &pipeline.Message{Body: []byte("x")}, now)))
}

func TestEachJobIsAcceptedOrRefusedByItself(t *testing.T) {
	var results []bool
	r := bufio.NewReader(strings.NewReader("INSERTED 1\r\nJOB_TOO_BIG\r\nINSERTED 3\r\nEXPECTED_CRLF\r\n"))
	collect := func(err error) { results = append(results, err == nil) }
	require.NoError(t, codec{}.Read(r, 3, collect))
	require.Equal(t, []bool{true, false, true}, results)
	require.ErrorIs(t, codec{}.Read(r, 1, collect), errProtocol)
}

func newReader(s string) *conn { return &conn{r: bufio.NewReader(strings.NewReader(s))} }

func TestReadReplyReadsTheBodyOfAJob(t *testing.T) {
	c := newReader("RESERVED 7 3\r\na\r\n\r\nDELETED\r\n")
	job, err := c.readReply()
	require.NoError(t, err)
	require.Equal(t, "7", job.words[1])
	require.Equal(t, "a\r\n", string(job.body))
	deleted, err := c.readReply()
	require.NoError(t, err)
	require.True(t, deleted.is("DELETED"))
}

func TestReadReplyRefusesWhatIsNoReply(t *testing.T) {
	for _, s := range []string{"\r\n", "DELETED\n", "OK\r\n", "OK -1\r\n", "OK 999999999\r\n", "OK 1\r\nxyz"} {
		_, err := newReader(s).readReply()
		require.ErrorIs(t, err, errProtocol, "%q", s)
	}
}

func FuzzReadReply(f *testing.F) {
	for _, s := range []string{"INSERTED 1\r\n", "RESERVED 1 2\r\nab\r\n", "OK 0\r\n\r\n", "TIMED_OUT\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		c := &conn{r: bufio.NewReader(bytes.NewReader(b))}
		_, _ = c.readReply()
	})
}
