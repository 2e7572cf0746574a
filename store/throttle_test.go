package store

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

func newThrottle() *throttle {
	return &throttle{s: &Store{stop: make(chan struct{}), busy: newBusy(), opts: Options{EvacuateRate: 1 << 20}}}
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
