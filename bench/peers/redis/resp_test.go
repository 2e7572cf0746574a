package redis

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/bench/peers/pipeline"
)

func reader(s string) *bufio.Reader { return bufio.NewReader(strings.NewReader(s)) }

func TestReadReplyReadsEveryKind(t *testing.T) {
	r := reader("+OK\r\n-ERR no\r\n:42\r\n$4\r\na\r\nb\r\n$-1\r\n*2\r\n:1\r\n*0\r\n")
	want := []any{"OK", serverError("ERR no"), int64(42), []byte("a\r\nb"), nil, []any{int64(1), []any(nil)}}
	for _, w := range want {
		got, err := readReply(r, 0)
		require.NoError(t, err)
		require.Equal(t, w, got)
	}
}

func TestReadReplyRefusesWhatIsNoReply(t *testing.T) {
	for _, s := range []string{
		"?\r\n", "+OK\n", "\r\n", ":1x\r\n", "$-2\r\n", "$99999999999\r\n", "$1\r\nab\r\n", "*2000000\r\n",
		strings.Repeat("*1\r\n", 9) + ":1\r\n",
	} {
		_, err := readReply(reader(s), 0)
		require.ErrorIs(t, err, errProtocol, "%q", s)
	}
}

func TestABatchIsOneTransaction(t *testing.T) {
	got := codec{}.Append(nil, []pipeline.Message{
		{ID: 1, Due: time.UnixMilli(1234), Body: []byte("x")},
		{ID: 2, Body: []byte("yz")},
	})
	require.Equal(t, "*1\r\n$5\r\nMULTI\r\n"+
		"*6\r\n$4\r\nZADD\r\n$3\r\ndue\r\n$4\r\n1234\r\n$8\r\n\x00\x00\x00\x00\x00\x00\x00\x01\r\n"+
		"$1\r\n0\r\n$8\r\n\x00\x00\x00\x00\x00\x00\x00\x02\r\n"+
		"*6\r\n$4\r\nHSET\r\n$4\r\nbody\r\n$8\r\n\x00\x00\x00\x00\x00\x00\x00\x01\r\n$1\r\nx\r\n"+
		"$8\r\n\x00\x00\x00\x00\x00\x00\x00\x02\r\n$2\r\nyz\r\n"+
		"*1\r\n$4\r\nEXEC\r\n", string(got))
}

func TestATransactionIsRefusedForAllItsMessages(t *testing.T) {
	for reply, accepted := range map[string]bool{
		"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:2\r\n:2\r\n":           true,
		"+OK\r\n-OOM x\r\n+QUEUED\r\n-EXECABORT\r\n":                false,
		"+OK\r\n+QUEUED\r\n+QUEUED\r\n*-1\r\n":                      false,
		"+OK\r\n+QUEUED\r\n+QUEUED\r\n*2\r\n:2\r\n-WRONGTYPE x\r\n": false,
	} {
		var results []error
		require.NoError(t, codec{}.Read(reader(reply), 2, func(err error) { results = append(results, err) }))
		require.Len(t, results, 2)
		for _, err := range results {
			require.Equal(t, accepted, err == nil, "%q: %v", reply, err)
		}
	}
}

func FuzzReadReply(f *testing.F) {
	for _, s := range []string{"+OK\r\n", "-ERR\r\n", ":1\r\n", "$2\r\nab\r\n", "*2\r\n:1\r\n$-1\r\n", "*1\r\n*1\r\n+a\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		_, _ = readReply(bufio.NewReader(bytes.NewReader(b)), 0)
	})
}
