package store

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/internal/testutil"
)

func newThrottle() *throttle {
	s := &Store{stop: make(chan struct{}), busy: newBusy(), opts: Options{EvacuateRate: 1 << 20}, cold: &coldStore{index: &delayindex.Index{}}}
	for i := range s.lanes {
		s.lanes[i] = &lane{id: uint8(i), index: &delayindex.Index{}}
	}
	return &throttle{s: s}
}

func TestThrottleKeepsItsRate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		th, start := newThrottle(), time.Now()
		for range 100 << 10 {
			require.NoError(t, th.spend(1<<10))
		}
		require.Equal(t, 100*time.Second, time.Since(start), "100 MiB at 1 MiB/s, in fake time")
		th.off = true
		require.NoError(t, th.spend(1<<30))
		require.Equal(t, 100*time.Second, time.Since(start))
	})
}

func TestThrottleGivesWayToWhatMatters(t *testing.T) {
	for name, set := range map[string]func(s *Store, on bool){
		"firing is behind": func(s *Store, on bool) { s.overdue.Store(map[bool]int64{true: 1}[on]) },
		"disk is full":     func(s *Store, on bool) { s.diskFull.Store(on) },
		"index is behind":  func(s *Store, on bool) { s.busy.index[2].shut.Store(on) },
	} {
		for _, stop := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				th := newThrottle()
				set(th.s, true)
				done := make(chan error, 1)
				go func() { done <- th.spend(throttleStep) }()
				time.Sleep(time.Hour)
				synctest.Wait()
				require.Empty(t, done, name)
				if stop {
					close(th.s.stop)
					require.ErrorIs(t, <-done, errStopping, name)
					return
				}
				set(th.s, false)
				require.NoError(t, <-done, name)
			})
		}
	}
}

// TestThrottleWaitsForSpaceAloneWhenThereAreTooManyRuns: a backlog may last.
func TestThrottleWaitsForSpaceAloneWhenThereAreTooManyRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := farOptions()
		o.mergeAbove, o.MemtableEntries, o.EvacuateAfter, o.keeperTick = 2, 10, -1, 1000*time.Hour
		s := mustOpen(t, testutil.FastDir(t), o)
		q := mustQueue(t, s, "far", 0)
		th := &throttle{s: s}
		s.overdue.Store(1) // nothing fires, so it stays
		for len(s.lanes[2].index.Runs()) <= 4 {
			require.False(t, s.crowded())
			require.True(t, s.behind())
			putFar(t, s, q, 20, 60*time.Hour, 90*time.Hour)
			synctest.Wait()
			require.NoError(t, s.saveAll())
		}
		require.True(t, s.crowded())
		require.NoError(t, th.spend(throttleStep), "it does not wait")
		s.diskFull.Store(true)
		done := make(chan error, 1)
		go func() { done <- th.spend(throttleStep) }()
		time.Sleep(time.Hour)
		synctest.Wait()
		require.Empty(t, done)
		s.diskFull.Store(false)
		require.NoError(t, <-done)
		s.overdue.Store(0)
		require.NoError(t, s.Close())
	})
}
