package broker

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/remoting"
)

// Clients reconnect at once but come with their heartbeat only every 30 s.
func TestConsumersThatOutliveARestartArePulledForBeforeTheirHeartbeat(t *testing.T) {
	r := &rig{t: t, store: openStore(t), reg: prometheus.NewRegistry()}
	dir := t.TempDir()
	before := newBroker(t, r.store, dir, nil)
	_, err := before.groups.Ensure("saved")
	require.NoError(t, err)
	require.NoError(t, before.Close())
	r.broker = newBroker(t, r.store, dir, &Options{AutoCreateTopic: true, AutoCreateGroup: true, Registerer: r.reg})
	r.serve()
	r.topic("t", 1)
	r.put("t", 0, "a", "m", 0)
	c := r.dial()
	pull := func(group string, change ...string) *remoting.Command {
		return c.ask(remoting.ReqPullMessage, nil, pullExtOf("t", group, 0, append(change, "sysFlag", "0")...)...)
	}
	require.Equal(t, []string{"m"}, bodies(t, pull("saved")), "of every tag: the client looks again")
	require.Equal(t, remoting.RespSystemError, pull("saved", "expressionType", "SQL92").Code)
	for range 2 {
		require.Equal(t, remoting.RespSubscriptionNotExist, pull("new").Code, "it was not there before")
	}
	c.beat("id", "saved", heartbeatSubscription{Topic: "t", Expression: "b"})
	require.Equal(t, remoting.RespPullRetryImmediately, pull("saved").Code, "what the heartbeat says counts")
	c.ask(remoting.ReqUnregisterClient, nil, "clientID", "id", "consumerGroup", "saved")
	require.Equal(t, []string{"m"}, bodies(t, pull("saved")))
	r.broker.started = r.broker.started.Add(-heartbeatGrace)
	require.Equal(t, remoting.RespSubscriptionNotExist, pull("saved").Code, "its heartbeat should have come")
}
