package broker

import (
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
)

func TestOptionsThatCannotWorkAreRefused(t *testing.T) {
	st := openStore(t)
	for _, o := range []*Options{
		{BrokerName: "no good"}, {ClusterName: "a@b"}, {DefaultTopicQueues: -1}, {DefaultTopicQueues: MaxQueues + 1}, {MaxMessageSize: -1},
	} {
		_, err := New(st, t.TempDir(), o)
		require.ErrorContains(t, err, "option ")
	}
}

func TestCloseGivesTheMetricsBack(t *testing.T) {
	st, reg := openStore(t), prometheus.NewRegistry()
	b := newBroker(t, st, t.TempDir(), &Options{Registerer: reg})
	_, err := New(st, t.TempDir(), &Options{Registerer: reg})
	require.ErrorContains(t, err, "register metrics", "two brokers of one name")
	require.NotZero(t, metric(t, reg, "rocketmq_topic_number"))

	require.NoError(t, b.Close())
	require.NoError(t, b.Close(), "again")
	require.Zero(t, metric(t, reg, "rocketmq_topic_number"))
	newBroker(t, st, t.TempDir(), &Options{Registerer: reg})
}
