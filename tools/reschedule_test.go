package tools

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
)

// The old message is delivered after it was looked up: it comes twice, and that is said.
func TestAMessageThatComesWhileItIsRescheduledComesTwice(t *testing.T) {
	t.Parallel()
	addrs, stop, err := startBroker(t.TempDir())
	require.NoError(t, err)
	defer func() { require.NoError(t, stop()) }()
	cl := client.New(&client.Options{NameServer: addrs.Namesrv, Timeout: time.Minute})
	defer cl.Close()
	props := message.AppendProperty(nil, message.PropTimerDelayMs, "1")
	props = message.AppendProperty(message.AppendProperty(props, message.PropUniqKey, "A1"), "who", "me")
	_, err = cl.Send(t.Context(), &client.Outgoing{Topic: "orders", Queue: -1, Body: []byte("x"), Properties: string(props), Group: toolsGroup})
	require.NoError(t, err)
	n := named{topic: "orders", id: "A1"}
	var found []foundAt
	require.Eventually(t, func() bool {
		found, err = lookUp(t.Context(), cl, &n)
		return err == nil && len(found) == 1 && found[0].state == stateDelivered
	}, time.Minute, time.Millisecond)

	var out strings.Builder
	s := rescheduling{cluster: &cluster{e: newEnv(Process{Out: &out})}}
	s.e.format = "csv"
	table := s.e.table("id", "topic", "broker", "queue", "due", "in", "was_due", "result", "detail")
	due := time.Now().Add(time.Hour)
	require.ErrorIs(t, s.move(t.Context(), cl, table, &found[0], due), errFindings)
	require.NoError(t, table.close())
	require.NoError(t, s.e.out.err())
	require.Contains(t, out.String(), `,twice,"its old time has come, so it comes at both"`)

	found, err = lookUp(t.Context(), cl, &n)
	require.NoError(t, err)
	require.Len(t, found, 2)
	for _, f := range found {
		require.Equal(t, "x", string(f.msg.Body))
		require.Equal(t, "me", message.Get(f.msg.Properties, "who"))
		if f.state == stateWaiting {
			require.Equal(t, due.UnixMilli(), f.due.UnixMilli())
		}
	}
}
