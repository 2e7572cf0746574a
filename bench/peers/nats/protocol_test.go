package nats

import (
	"bufio"
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func reading(s string) *conn { return &conn{r: bufio.NewReader(strings.NewReader(s))} }

func TestReadReadsEveryFrame(t *testing.T) {
	c := reading("INFO {}\r\nPING\r\n+OK\r\nMSG a 1 3\r\nxyz\r\nMSG a 1 b 0\r\n\r\nHMSG a 1 b 12 14\r\nNATS/1.0\r\n\r\nhi\r\n")
	for _, verb := range []string{"INFO", "PING", "+OK"} {
		require.NoError(t, c.expect(verb))
	}
	f, err := c.read()
	require.NoError(t, err)
	require.Equal(t, frame{verb: "MSG", subject: "a", header: []byte{}, payload: []byte("xyz")}, f)
	f, err = c.read()
	require.NoError(t, err)
	require.Equal(t, frame{verb: "MSG", subject: "a", reply: "b", header: []byte{}, payload: []byte{}}, f)
	f, err = c.read()
	require.NoError(t, err)
	require.Equal(t, "NATS/1.0\r\n\r\n", string(f.header))
	require.Equal(t, "hi", string(f.payload))
}

func TestReadRefusesWhatTheServerDoesNotSay(t *testing.T) {
	for _, s := range []string{
		"HELLO\r\n", "MSG a 1\r\n", "MSG a 1 x\r\n", "MSG a 1 99999999999\r\n", "MSG a 1 b c 1\r\n", "HMSG a 1 b 5 4\r\n", "HMSG a 1 -1 4\r\n",
	} {
		_, err := reading(s).read()
		require.ErrorIs(t, err, errProtocol, "%q", s)
	}
	_, err := reading("-ERR 'Maximum Payload Violation'\r\n").read()
	require.ErrorContains(t, err, "Maximum Payload")
}

func TestPublishWritesBothForms(t *testing.T) {
	var b bytes.Buffer
	c := &conn{w: bufio.NewWriter(&b)}
	c.publish("now", "", "", []byte("x"))
	c.publish("later.7", "in.7", schedule(time.UnixMilli(1700000000123)), []byte("yz"))
	require.NoError(t, c.write(true))
	require.Equal(t, "PUB now 1\r\nx\r\n"+
		"HPUB later.7 in.7 84 86\r\nNATS/1.0\r\nNats-Schedule: @at 2023-11-14T22:13:20.123Z\r\n"+
		"Nats-Schedule-Target: now\r\n\r\nyz\r\n", b.String())
}

func TestApiErrorFindsTheRefusal(t *testing.T) {
	require.NoError(t, apiError([]byte(`{"stream":"s","seq":1}`)))
	require.ErrorContains(t, apiError([]byte(`{"error":{"code":400,"description":"no"}}`)), "no (400)")
	require.ErrorIs(t, apiError([]byte("x")), errProtocol)
}

func FuzzRead(f *testing.F) {
	for _, s := range []string{"INFO {}\r\n", "MSG a 1 b 1\r\nx\r\n", "HMSG a 1 2 3\r\nxyz\r\n", "-ERR 'x'\r\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(_ *testing.T, b []byte) {
		c := &conn{r: bufio.NewReader(bytes.NewReader(b))}
		_, _ = c.read()
	})
}
