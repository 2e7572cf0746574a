package commitlog

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// stuck is an owner whose writer does not come back from a batch until it may.
type stuck struct {
	noHooks
	entered, leave chan struct{}
}

func (s *stuck) Committed([]Item, int64, int64, error) {
	s.entered <- struct{}{}
	<-s.leave
}

func TestAppendWaitsNoLongerThanItMayAndIsAcceptedAgainWhenThereIsRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const wait = 300 * time.Millisecond
		hooks := &stuck{entered: make(chan struct{}), leave: make(chan struct{})}
		l, _, err := Open(t.TempDir(), nil, 0, nil, &Options{
			SegmentSize: 1 << 20, MaxPendingBytes: 4096, MaxWait: wait, Hooks: hooks, Flush: Async, FlushEvery: time.Hour,
		})
		require.NoError(t, err)
		r := Record{Payload: make([]byte, 1000)}
		require.NoError(t, l.Append(&r, nil, 0))
		<-hooks.entered // the first record is being committed
		for range 3 {
			require.NoError(t, l.Append(&r, nil, 0))
		}
		start := time.Now()
		require.ErrorIs(t, l.Append(&r, nil, 0), ErrBusy)
		require.Equal(t, wait, time.Since(start))
		require.ErrorIs(t, l.Append(&r, nil, 0), ErrBusy, "others need not wait too")
		require.Equal(t, wait, time.Since(start))

		hooks.leave <- struct{}{}
		<-hooks.entered
		synctest.Wait()
		require.ErrorIs(t, l.Append(&r, nil, 0), ErrBusy, "three records of four are still waiting")
		close(hooks.leave)
		synctest.Wait()
		go func() {
			for range hooks.entered {
			}
		}()
		require.NoError(t, l.Append(&r, nil, 0))
		require.NoError(t, l.Close())
		close(hooks.entered)
	})
}
