package store

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/testutil"
)

// stepClock is the plain clock plus an offset.
type stepClock struct {
	*plainClock
	mu  sync.Mutex
	off int64
}

func (c *stepClock) NowMs() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return time.Now().UnixMilli() + c.off
}

func (c *stepClock) step(d time.Duration) {
	c.mu.Lock()
	c.off += d.Milliseconds()
	c.mu.Unlock()
	c.wake()
}

func (c *stepClock) waitUntil(ms int64) {
	c.mu.Lock()
	off := c.off
	c.mu.Unlock()
	c.plainClock.waitUntil(ms - off)
}

// After a forward step, or on a machine that was suspended, the backlog is taken
// into memory a part at a time.
func TestForwardClockStepKeepsTheWheelBounded(t *testing.T) {
	t.Parallel()
	c := &stepClock{plainClock: newPlainClock(50 * time.Millisecond)}
	s := mustOpen(t, testutil.FastDir(t), small(Options{clock: c, NearEntries: 4096, FireBatch: 64}))
	q := mustQueue(t, s, "a", 0)
	const n = 60_000
	done := make(countdown, n)
	base := s.NowMs() + 3*3600_000
	for i := range n {
		require.NoError(t, s.PutAsync(&Message{Queue: q, FireMs: base + int64(i)*100, Payload: []byte("x")}, done, 0))
	}
	done.wait(t, n)
	c.step(6 * time.Hour)
	for seen := q.Max(); seen < n; seen = q.Max() {
		require.LessOrEqual(t, s.overdue.Load(), int64(8192))
		w := make(chanWatcher, 1)
		if q.Watch(seen, w) {
			<-w
		}
	}
}

func TestForwardClockStepOverManySparseSecondsIsCaughtUp(t *testing.T) {
	c := &stepClock{plainClock: newPlainClock(50 * time.Millisecond)}
	s := mustOpen(t, t.TempDir(), &Options{clock: c})
	q := mustQueue(t, s, "a", 0)
	const n = 40_000
	done := make(countdown, n)
	base := s.NowMs() + 3*3600_000
	for i := range n {
		require.NoError(t, s.PutAsync(&Message{Queue: q, FireMs: base + int64(i)*1000, Payload: []byte("x")}, done, 0))
	}
	done.wait(t, n)
	c.step(28 * time.Hour)
	awaitMax(t, q, n)
	require.Zero(t, s.Pending())
}

// A pause of firing ends with the clock that it was measured on.
func TestClockSetBackEndsAPauseOfFiring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &stepClock{plainClock: newPlainClock(24 * time.Hour)}
		s := mustOpen(t, testutil.FastDir(t), small(Options{clock: c, FireRate: 100}))
		q := mustQueue(t, s, "a", 0)
		for range 50 {
			mustPut(t, s, q, s.NowMs()+10, "paced")
		}
		time.Sleep(200 * time.Millisecond) // there was a pause by now
		c.step(-2 * time.Hour)
		time.Sleep(time.Minute)
		synctest.Wait()
		first := q.Max()
		mustPut(t, s, q, s.NowMs()+5000, "after the step")
		time.Sleep(time.Minute)
		synctest.Wait()
		require.Equal(t, first+1, q.Max())
		require.NoError(t, s.Close())
	})
}

func TestClockSetBackFiresNothingTwiceNorEarly(t *testing.T) {
	t.Parallel()
	c := &stepClock{plainClock: newPlainClock(50 * time.Millisecond)}
	dir := testutil.FastDir(t)
	s := mustOpen(t, dir, small(Options{clock: c}))
	q := mustQueue(t, s, "a", 0)
	mustPut(t, s, q, s.NowMs()+10, "before")
	awaitMax(t, q, 1)
	c.step(-2 * time.Hour)
	mustPut(t, s, q, s.NowMs()+50, "after the step")
	awaitMax(t, q, 2)
	mustPut(t, s, q, s.NowMs()+(2*time.Hour+time.Minute).Milliseconds(), "later")
	require.NoError(t, s.Close())

	s = mustOpen(t, dir, small(Options{clock: c}))
	awaitDrainedBut(t, s, 1)
	require.Equal(t, []string{"before", "after the step"}, payloads(t, s, s.LookupQueue("a", 0)))
	c.step(3 * time.Hour)
	awaitMax(t, s.LookupQueue("a", 0), 3)
}
