package store

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/testutil"
)

// What is due next may fill the dispatcher's memory before its time has come, for
// instance when the clock was set back. It then sleeps until that time.
func TestDispatcherSleepsWhileItsMemoryIsFullOfWhatIsNotDue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, testutil.FastDir(t), small(Options{clock: newPlainClock(time.Hour), NearEntries: 1024, keeperTick: time.Hour}))
		q := mustQueue(t, s, "a", 0)
		base := time.Now().Add(10 * time.Second).Truncate(time.Second).Add(900 * time.Millisecond).UnixMilli()
		const n = 600 // more than half of what is allowed
		for i := range n {
			mustPut(t, s, q, base+int64(i%100), "x")
			mustPut(t, s, q, base+100+int64(i%100), "y") // the second after it
		}
		time.Sleep(20 * time.Second) // never ends if it does not sleep
		synctest.Wait()
		require.EqualValues(t, 2*n, q.Max())
		require.NoError(t, s.Close())
	})
}
