package broker

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// newRigOf is newRig over a store with other options.
func newRigOf(t testing.TB, so *store.Options) *rig {
	st, err := store.Open(t.TempDir(), so)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	r := &rig{t: t, store: st, reg: prometheus.NewRegistry()}
	r.broker = newBroker(t, st, t.TempDir(), &Options{AutoCreateTopic: true, AutoCreateGroup: true, Registerer: r.reg})
	r.serve()
	return r
}

// schedule stores n messages that are due at once.
func (r *rig) schedule(topic string, n int, fireMs int64) {
	r.t.Helper()
	top, _ := r.broker.topics.Lookup(topic)
	q, err := top.queue(0)
	require.NoError(r.t, err)
	done := counted{make(chan struct{}, n)}
	for range n {
		require.NoError(r.t, r.store.PutAsync(&store.Message{Queue: q, FireMs: fireMs, Payload: []byte("x")}, done, 0))
	}
	for range n {
		await(r.t, done.left)
	}
}

// A topic whose due messages come too late takes no more scheduled ones: the client
// gets the code and the words for it. Ordinary messages pass, other topics are not
// concerned, and it ends when the backlog has fired.
func TestScheduledSendsOfATopicThatIsBehindAreRefusedUntilItHasCaughtUp(t *testing.T) {
	so := testStoreOptions()
	so.FireRate, so.MaxOverdue = 400, 200*time.Millisecond
	r := newRigOf(t, so)
	r.topic("behind", 1)
	r.topic("other", 1)
	r.schedule("behind", 1200, r.store.NowMs()+100)
	c := r.dial()
	send := func(topic, properties string) *remoting.Command {
		return c.ask(remoting.ReqSendMessageV2, "x", sendExtOf(topic, properties)...)
	}
	hour := props("TIMER_DELAY_SEC", "3600")
	var refused *remoting.Command
	require.Eventually(t, func() bool {
		refused = send("behind", hour)
		return refused.Code != remoting.RespSuccess
	}, patience, time.Millisecond)
	require.Equal(t, remoting.RespSystemBusy, refused.Code)
	require.Contains(t, refused.Remark, "[OVERDUE]broker busy, start flow control for a while")
	require.Equal(t, remoting.RespSuccess, send("behind", "").Code)
	require.Equal(t, remoting.RespSuccess, send("other", hour).Code)
	require.Positive(t, testutil.ToFloat64(r.broker.metrics.refused.WithLabelValues(fmt.Sprint(remoting.RespSystemBusy), store.BusyOverdue)))

	require.Eventually(t, func() bool { return send("behind", hour).Code == remoting.RespSuccess }, patience, 10*time.Millisecond)
}
