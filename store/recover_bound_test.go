package store

import (
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/internal/durable"
	"github.com/duelog/duelog/internal/testutil"
)

// killed is the directory of s as a kill leaves it.
func killed(t *testing.T, s *Store) string {
	t.Helper()
	image := testutil.CopyDir(t, s.dir)
	require.NoError(t, os.Remove(filepath.Join(image, lockName)))
	return image
}

// boundOptions let only the number of firings ask for a checkpoint.
func boundOptions(after int64) *Options {
	return small(Options{
		clock: newPlainClock(time.Hour), keeperTick: 1000 * time.Hour, CheckpointEvery: 1000 * time.Hour,
		CheckpointFirings: after, FireBatch: 10, horizon: 12 * time.Hour,
	})
}

func TestRecoveryHoldsNoMoreThanFiresBetweenTwoCheckpoints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, bound = 1000, 100
		o := boundOptions(bound)
		s := mustOpen(t, testutil.FastDir(t), o)
		q := mustQueue(t, s, "a", 0)
		start := s.NowMs() + 5000
		for i := range n {
			mustPut(t, s, q, start+int64(i), "x")
		}
		time.Sleep(4900 * time.Millisecond)
		for range 8 { // kills at different distances from the last checkpoint
			time.Sleep(151 * time.Millisecond)
			synctest.Wait()
			fired := q.Max()
			again := mustOpen(t, killed(t, s), o)
			require.LessOrEqual(t, again.firings.Load(), int64(bound+2*o.FireBatch), "of %d that fired", fired)
			require.NoError(t, again.Close())
		}
		require.EqualValues(t, n, q.Max())
		require.LessOrEqual(t, s.uncovered(), int64(bound))
		require.NoError(t, s.Close())
	})
}

// What cannot be covered, since it is of one millisecond, is held as locations and no
// more, and its slots leave memory as they are put.
func TestRecoveryHoldsLocationsOfWhatNoCheckpointCovers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n = 5000
		o := boundOptions(1 << 40)
		s := mustOpen(t, testutil.FastDir(t), o)
		q := mustQueue(t, s, "a", 0)
		due := s.NowMs() + 5000
		for range n {
			mustPut(t, s, q, due, "x")
		}
		time.Sleep(6 * time.Second)
		synctest.Wait()
		require.EqualValues(t, n, q.Max())
		image := killed(t, s)
		require.NoError(t, s.Close())

		o.replayFlush = 1000
		for _, full := range []bool{true, false} {
			disk := &queueWrites{full: full}
			stop := durable.Observe(disk)
			again := newStore(image, *withDefaults(o))
			require.NoError(t, again.open())
			stop()
			require.EqualValues(t, n, again.firings.Load())
			if full {
				require.EqualValues(t, n/o.replayFlush, disk.failed.Load(), "a full disk does not keep a store from opening")
			} else {
				require.EqualValues(t, n/o.replayFlush, disk.syncs.Load())
			}
			require.Len(t, payloads(t, again, again.LookupQueue("a", 0)), n)
			require.Zero(t, again.Pending())
			image = killed(t, again) // nothing of it was covered by a checkpoint
			require.NoError(t, again.Close())
		}
	})
}

func withDefaults(o *Options) *Options {
	c := *o
	c.EnsureDefaults()
	return &c
}

// queueWrites counts the syncs of queue files, or lets their writes find no space.
type queueWrites struct {
	full          bool
	failed, syncs atomic.Int64
}

func (d *queueWrites) Do(op durable.Op, f *os.File, _, _ string, run func() error) error {
	if f == nil || !strings.Contains(f.Name(), string(filepath.Separator)+queueDir+string(filepath.Separator)) {
		return run()
	}
	switch {
	case op == durable.OpWrite && d.full:
		d.failed.Add(1)
		return syscall.ENOSPC
	case op == durable.OpSync:
		d.syncs.Add(1)
	}
	return run()
}

func TestFiredSetHasWhatFiredAndTakesNoMoreThanItsSize(t *testing.T) {
	locs := []commitlog.Loc{7, commitlog.MakeLoc(coldLane, 3), 5, 7}
	s := newFiredSet(len(locs))
	s = append(s, locs...)
	s.sort()
	require.Equal(t, len(locs), cap(s))
	for _, loc := range locs {
		require.True(t, s.has(loc))
	}
	require.False(t, s.has(6))
	require.False(t, firedSet(nil).has(5))

	lies := commitlog.Frame{Records: 65535, Payload: make([]byte, 20)}
	require.Equal(t, 2, firingsIn(&lies))
}
