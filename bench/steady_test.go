package bench

import (
	"bytes"
	"context"
	"path/filepath"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// simulated is a Simulator in memory. It hands messages over on a goroutine of its own
// and takes its time for it, as a machine does that is busy with other things.
type simulated struct {
	fake

	lag     time.Duration // from being due to the hand-over
	loses   int64         // which of the messages that are due is lost; 0: none
	lost    fakeMessage   // that one
	due     int64         // how many were due
	now     time.Time     // by the clock of the simulation
	waiting []fakeMessage
	visible chan fakeMessage
}

func (f *simulated) Simulate(from time.Time) { f.now = from }

func (f *simulated) Stats(context.Context) (Stats, error) {
	return Stats{Pending: int64(len(f.waiting))}, nil
}

func (f *simulated) Publisher(_ context.Context, _ int, o PublisherOptions) (Publisher, error) {
	return &simulatedPublisher{f, o.Acked}, nil
}

type simulatedPublisher struct {
	f     *simulated
	acked func(uint64, error)
}

func (p *simulatedPublisher) Publish(id uint64, due time.Time, body []byte) error {
	p.f.waiting = append(p.f.waiting, fakeMessage{due: due, body: bytes.Clone(body)})
	p.acked(id, nil)
	return nil
}
func (p *simulatedPublisher) Flush() error { return nil }
func (p *simulatedPublisher) Close() error { return nil }

func (f *simulated) Subscribe(_ context.Context, deliver func([]byte, time.Time)) (func(), error) {
	var wg sync.WaitGroup
	wg.Go(func() {
		for m := range f.visible {
			time.Sleep(f.lag)
			deliver(m.body, time.Now())
		}
	})
	return func() { close(f.visible); wg.Wait() }, nil
}

func (f *simulated) Advance(_ context.Context, to time.Time) error {
	f.now = to
	later := f.waiting[:0]
	for _, m := range f.waiting {
		if m.due.After(to) {
			later = append(later, m)
			continue
		}
		if f.due++; f.due == f.loses {
			f.lost = m
			continue
		}
		f.visible <- m
	}
	f.waiting = later
	return nil
}

func (f *simulated) Find(_ context.Context, _ uint64, _ time.Time, is func([]byte) bool) string {
	if is(f.lost.body) {
		return "under the table"
	}
	return ""
}

func (f *simulated) Weigh(context.Context) (int64, map[string]int64, error) {
	return 1000, map[string]int64{"log": f.due}, nil
}

// weeks runs Steady on f.
func weeks(t *testing.T, f *simulated) error {
	fresh := func(Mode) (System, error) {
		f.visible, f.waiting = make(chan fakeMessage, 1000), nil
		return f, nil
	}
	dir := t.TempDir()
	_, err := Run(t.Context(), &Steady{PerDay: 100, Warm: 3 * day, Window: 2 * day}, Target{New: fresh, Name: "fake"}, &Options{Dir: dir, Stall: time.Second})
	left, globErr := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, globErr)
	require.Empty(t, left)
	return err
}

func TestSteadyWaitsForASubscriberThatIsSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		require.NoError(t, weeks(t, &simulated{lag: 5 * time.Millisecond}))
	})
}

func TestSteadyFindsALostMessageInTheStepInWhichItWasDue(t *testing.T) {
	for _, n := range []int64{1, 100, 700} { // of the scheduled ones, and of the ordinary ones behind them
		synctest.Test(t, func(t *testing.T) {
			f := &simulated{loses: n}
			err := weeks(t, f)
			var bad *VerdictError
			require.ErrorAs(t, err, &bad)
			require.Equal(t, Verdict{Lost: 1}, bad.Verdict)
			require.Less(t, f.due, n+10, "it did not go on for long")
			id, err := parseJSONBody(f.lost.body, nil)
			require.NoError(t, err)
			require.Len(t, bad.Missing, 1)
			require.Equal(t, id, bad.Missing[0].ID)
			require.Equal(t, "under the table", bad.Missing[0].Where)
			if !f.lost.due.IsZero() {
				require.True(t, f.lost.due.Equal(bad.Missing[0].Due))
			}
			require.ErrorContains(t, bad, "first of the lost: "+bad.Missing[0].String())
		})
	}
}

func TestWhatIsDueAtTheBeginningOfItsStepComesInIt(t *testing.T) {
	steps := make([]int64, 4)
	count(steps, 0, 0)
	count(steps, 2, 2*steadyStep)
	count(steps, 2, 3*steadyStep)
	count(steps, 2, 3*steadyStep+1)
	count(steps, 2, 100*steadyStep)
	require.Equal(t, []int64{1, 0, 2, 1}, steps)
}
