package store

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	promtest "github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/testutil"
)

func TestAGateOpensAtHalfOfItsLimit(t *testing.T) {
	var g gate
	for _, step := range []struct {
		value           int64
		closed, changed bool
	}{{10, false, false}, {11, true, true}, {12, true, false}, {10, true, false}, {6, true, false}, {5, false, true}, {10, false, false}} {
		closed, changed := g.closed(step.value, 10)
		require.Equal(t, step.closed, closed, step.value)
		require.Equal(t, step.changed, changed, step.value)
	}
}

func requireBusy(t testing.TB, err error, reason string) {
	t.Helper()
	require.ErrorIs(t, err, ErrBusy)
	var busy *BusyError
	require.True(t, errors.As(err, &busy))
	require.Equal(t, reason, busy.Reason)
}

// gaugeOf collects the gauges of s and returns the one with these values of its labels,
// which are in the order of their names.
func gaugeOf(t testing.TB, s *Store, name string, labels ...string) float64 {
	t.Helper()
	reg := prometheus.NewRegistry()
	reg.MustRegister(s.metrics.collectors()...)
	families, err := reg.Gather()
	require.NoError(t, err)
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var values []string
			for _, l := range m.GetLabel() {
				values = append(values, l.GetValue())
			}
			if f.GetName() == name && slices.Equal(values, labels) {
				return m.GetGauge().GetValue()
			}
		}
	}
	require.FailNow(t, "no such gauge", "%s %v", name, labels)
	return 0
}

// While one topic fires behind the others its scheduled messages are refused,
// those of others and those without a delay are not, and it ends by itself.
func TestScheduledMessagesOfATopicThatIsTooFarBehindAreRefused(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := paced(1000)
		o.MaxOverdue = time.Second
		o.clock = newPlainClock(50 * time.Millisecond)
		s := mustOpen(t, testutil.FastDir(t), o)
		heavy, light := mustQueue(t, s, "heavy", 0), mustQueue(t, s, "light", 0)
		var ms []Message
		for range 4000 {
			ms = append(ms, Message{Queue: heavy, FireMs: s.NowMs() + 1000, Payload: []byte("x")})
		}
		putMany(t, s, ms)
		put := func(q *Queue, delay time.Duration) error {
			_, err := s.Put(context.Background(), &Message{Queue: q, FireMs: s.NowMs() + delay.Milliseconds(), Payload: []byte("y")})
			return err
		}
		time.Sleep(1500 * time.Millisecond)
		require.NoError(t, put(heavy, time.Hour), "half a second behind")
		time.Sleep(1500 * time.Millisecond)
		require.Zero(t, gaugeOf(t, s, "duelog_refusing", "other", BusyOverdue))
		require.EqualValues(t, 1, gaugeOf(t, s, "duelog_refusing", "heavy", BusyOverdue), "nothing was sent yet")
		requireBusy(t, put(heavy, time.Hour), BusyOverdue)
		require.NoError(t, put(heavy, 0))
		require.NoError(t, put(light, time.Hour))
		require.EqualValues(t, 1, promtest.ToFloat64(s.busy.refused.WithLabelValues(BusyOverdue)))
		time.Sleep(2500 * time.Millisecond)
		require.Zero(t, gaugeOf(t, s, "duelog_refusing", "heavy", BusyOverdue), "nothing was sent since")
		require.NoError(t, put(heavy, time.Hour))
		require.NoError(t, s.Close())
	})
}

// The keeper cannot write the index: it waits for a lock that a test holds.
func TestScheduledMessagesAreRefusedWhileTheIndexIsNotWritten(t *testing.T) {
	s := mustOpen(t, testutil.FastDir(t), small(Options{MemtableEntries: 10, MaxIndexBacklog: 2, CheckpointEvery: time.Hour}))
	q := mustQueue(t, s, "a", 0)
	put := func(delay time.Duration) error {
		_, err := s.Put(context.Background(), &Message{Queue: q, FireMs: s.NowMs() + delay.Milliseconds(), Payload: []byte("x")})
		return err
	}
	s.checkpointMu.Lock()
	var err error
	for n := 0; err == nil; n++ {
		require.Less(t, n, 100)
		err = put(3 * time.Hour)
	}
	requireBusy(t, err, BusyIndex)
	require.EqualValues(t, 1, gaugeOf(t, s, "duelog_refusing", "1-day", BusyIndex))
	require.Zero(t, gaugeOf(t, s, "duelog_refusing", "0-near", BusyIndex))
	require.Greater(t, gaugeOf(t, s, "duelog_index_waiting_memtables", "1-day"), 2.0)
	require.Zero(t, gaugeOf(t, s, "duelog_index_waiting_memtables", "3-far"))
	require.NoError(t, put(0), "a message without a delay")
	require.NoError(t, put(time.Hour), "another lane")
	s.checkpointMu.Unlock()
	require.Eventually(t, func() bool { return put(3*time.Hour) == nil }, 30*time.Second, time.Millisecond)
	require.Zero(t, gaugeOf(t, s, "duelog_refusing", "1-day", BusyIndex))
}

// More comes for the seconds that are being fired than memory is meant to hold.
func TestMessagesThatAreDueSoonAreRefusedWhenTheirEntriesFillMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := small(Options{NearEntries: 1024, clock: newPlainClock(50 * time.Millisecond)})
		s := mustOpen(t, testutil.FastDir(t), o)
		q := mustQueue(t, s, "a", 0)
		due := s.NowMs() + 900
		var ms []Message
		for range 1025 {
			ms = append(ms, Message{Queue: q, FireMs: due, Payload: []byte("x")})
		}
		putMany(t, s, ms)
		put := func(fireMs int64) error {
			_, err := s.Put(context.Background(), &Message{Queue: q, FireMs: fireMs, Payload: []byte("x")})
			return err
		}
		requireBusy(t, put(due), BusyNear)
		require.EqualValues(t, 1, gaugeOf(t, s, "duelog_refusing", "", BusyNear))
		require.NoError(t, put(s.NowMs()+3000))
		require.NoError(t, put(0))
		time.Sleep(time.Second)
		require.Zero(t, gaugeOf(t, s, "duelog_refusing", "", BusyNear))
		require.NoError(t, put(s.NowMs()+900))
		require.NoError(t, s.Close())
	})
}
