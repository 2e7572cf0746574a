package tools

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/broker"
	"github.com/duelog/duelog/store"
)

// smallStore opens a store with files so small that it changes them all the time.
func smallStore(t *testing.T, dir string, clock *store.ManualClock) *store.Store {
	s, err := store.Open(dir, &store.Options{
		SegmentSize: 64 << 10, DelaySegmentSize: 64 << 10, JournalSegmentSize: 64 << 10, FireBatch: 1024, Flush: commitlog.Async,
		Retention: 100 * time.Millisecond, ScheduledRetention: 100 * time.Millisecond, CheckpointEvery: time.Millisecond, MemtableEntries: 200,
		Keys: broker.Keys, Clock: clock,
	})
	require.NoError(t, err)
	return s
}

// TestVerifyFindsNothingInAStoreInUse checks a store again and again while
// messages arrive and fire, and files are made, recycled and dropped. Its time goes
// faster than that of the world: messages are kept for 10 s after their time at least.
func TestVerifyFindsNothingInAStoreInUse(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	clock := store.NewManualClock(testNow)
	s := smallStore(t, dir, clock)
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var g errgroup.Group
	step := make(chan struct{})  // lets a writer go on
	round := make(chan struct{}) // lets time go on
	for w := range 2 {
		q, err := s.Queue("orders", int32(w))
		require.NoError(t, err)
		g.Go(func() error { return putUntil(ctx, s, q, clock.NowMs, step) })
	}
	g.Go(func() error { // freeing space as fast as it can
		for left := 0; ctx.Err() == nil; left-- {
			if left == 0 {
				select {
				case <-round:
					left = stepsPerRound
				case <-ctx.Done():
					return nil
				}
			}
			clock.Advance(time.UnixMilli(clock.NowMs() + 100))
			if err := s.Maintain(ctx); err != nil {
				return err
			}
			for range 2 {
				select {
				case step <- struct{}{}:
				default: // it is busy
				}
			}
		}
		return nil
	})
	for i := 0; i < 16 || !recycled(t, dir); i++ {
		require.NoError(t, t.Context().Err())
		select {
		case round <- struct{}{}:
		default: // the last one is not over
		}
		code, out, errs := run(t, "verify", dir, "-o", "csv", "--retention", "24h", "--scheduled-retention", "24h")
		require.Equal(t, ExitOK, code, out+errs)
	}
	cancel()
	require.NoError(t, g.Wait())
}

// recycled tells whether the store has freed its first segments.
func recycled(t *testing.T, dir string) bool {
	m, err := store.ReadManifest(dir)
	require.NoError(t, err)
	return len(m.Segments[0]) > 0 && m.Segments[0][0].Base > 0
}

// putsPerStep is how many messages a writer puts before it waits for time to pass, and
// stepsPerRound how many steps of time pass before they wait for verify: what is put must
// outrun neither what is recycled nor verify, however fast the disk is.
const (
	putsPerStep   = 50
	stepsPerRound = 40
)

// putUntil puts messages that are due now, soon, and much later, until ctx ends.
func putUntil(ctx context.Context, s *store.Store, q *store.Queue, nowMs func() int64, step <-chan struct{}) error {
	delays := []time.Duration{0, 0, 20 * time.Millisecond, 300 * time.Millisecond, 3 * time.Hour, 30 * time.Hour}
	f := newFixture(nil, "")
	for i := 0; ctx.Err() == nil; i++ {
		r := f.record(fmt.Sprintf("M%d", i), false, 0)
		m := store.Message{Queue: q, Payload: r.Payload, Keys: broker.Keys(r.Payload, nil), FireMs: nowMs() + delays[i%len(delays)].Milliseconds()}
		if _, err := s.Put(context.WithoutCancel(ctx), &m); err != nil {
			return err
		}
		if i%putsPerStep < putsPerStep-1 {
			continue
		}
		select {
		case <-step:
		case <-ctx.Done():
		}
	}
	return nil
}
