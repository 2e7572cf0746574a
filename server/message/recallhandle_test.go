package message_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/message"
)

func TestRecallHandleIsTheCapturedOne(t *testing.T) {
	const captured = "djEgVDIgYnJva2VyLWEgMTc5NTQwNjUxNTAwMSBSMQ=="
	h := message.RecallHandle{Topic: "T2", Broker: "broker-a", ID: "R1", DueMs: 1795406515000}
	require.Equal(t, captured, string(message.AppendRecallHandle(nil, &h)))
	got, ok := message.ParseRecallHandle(captured)
	require.True(t, ok)
	require.Equal(t, h, got)
}

func FuzzRecallHandle(f *testing.F) {
	f.Add("djEgVDIgYnJva2VyLWEgMTc5NTQwNjUxNTAwMSBSMQ==")
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		if h, ok := message.ParseRecallHandle(s); ok {
			again, ok := message.ParseRecallHandle(string(message.AppendRecallHandle(nil, &h)))
			require.True(t, ok)
			require.Equal(t, h, again)
		}
	})
}
