package store

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/internal/durable"
	"github.com/duelog/duelog/internal/testutil"
)

// tripwire is a disk on which the n-th operation is something special.
type tripwire struct {
	mu   sync.Mutex
	ops  int
	trip func(n int) error // nil: the operation goes on
}

// Do implements durable.Observer.
func (d *tripwire) Do(_ durable.Op, _ *os.File, _, _ string, run func() error) error {
	d.mu.Lock()
	n := d.ops
	d.ops++
	d.mu.Unlock()
	if err := d.trip(n); err != nil {
		return err
	}
	return run()
}

// evacuateOne moves the first segment of the far lane.
func evacuateOne(s *Store) error {
	s.compactor.mu.Lock()
	defer s.compactor.mu.Unlock()
	s.compactor.throttle.off = true
	l := s.lanes[farLane]
	ev, ok := s.compactor.begin(l, l.log.Segments()[0])
	if !ok {
		return fmt.Errorf("runs reach beyond the segment")
	}
	return ev.run()
}

// requirePending checks that all of want is pending, each once, and can be read.
func requirePending(t testing.TB, s *Store, want []far) {
	t.Helper()
	require.EqualValues(t, len(want), s.Pending())
	i := 0
	for m, err := range s.PendingAfter(PendingPosition{}, endOfTime) {
		require.NoError(t, err)
		require.Less(t, i, len(want))
		require.Equal(t, want[i].fireMs, m.FireMs)
		v, err := s.Read(m.Loc, m.Size)
		require.NoError(t, err)
		require.True(t, want[i].payload == string(v.Bytes()), "message %d", i)
		v.Release()
		i++
	}
	require.Equal(t, len(want), i)
}

// TestKillBeforeAnyDiskOperationOfAnEvacuation takes an image of the directory
// before each single operation of an evacuation, and opens all of them.
func TestKillBeforeAnyDiskOperationOfAnEvacuation(t *testing.T) {
	images := testutil.FastDir(t)
	var want []far
	ops := 0
	synctest.Test(t, func(t *testing.T) {
		var s *Store
		s, _, want = ripen(t, testutil.FastDir(t), handOptions(), 400, 5*day, 50*day)
		d := &tripwire{}
		d.trip = func(n int) error {
			image := filepath.Join(images, fmt.Sprint(n))
			copyTree(t, s.dir, image)
			require.NoError(t, os.Remove(filepath.Join(image, lockName)))
			return nil
		}
		stop := durable.Observe(d)
		defer stop()
		require.NoError(t, evacuateOne(s))
		d.trip = func(int) error { return nil }
		ops = d.ops
		require.NoError(t, s.Close())
	})
	require.Greater(t, ops, 10)
	steps := map[bool]int{}
	for n := range ops {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(8 * time.Hour)
			s := mustOpen(t, filepath.Join(images, fmt.Sprint(n)), handOptions())
			old := slices.ContainsFunc(s.lanes[farLane].log.Segments(), func(i commitlog.SegmentInfo) bool { return i.Base == 0 })
			require.Equal(t, old, s.cold.files.Usage().Files == 0, "operation %d", n)
			steps[old]++
			requirePending(t, s, want)
			if old {
				require.NoError(t, evacuateOne(s), "what the crash left is not in the way")
				requirePending(t, s, want)
			}
			require.NoError(t, s.Close())
		})
	}
	t.Logf("%d images, %d of them before the edit", ops, steps[true])
	require.NotZero(t, steps[true])
	require.NotZero(t, steps[false])
}

// TestDiskErrorAnywhereInAnEvacuationLosesNothing lets each disk operation fail
// once, for want of space or for good.
func TestDiskErrorAnywhereInAnEvacuationLosesNothing(t *testing.T) {
	for _, cause := range []error{syscall.ENOSPC, syscall.EIO} {
		t.Run(cause.Error(), func(t *testing.T) {
			for n := 0; ; n++ {
				if !failsAt(t, n, cause) {
					require.Greater(t, n, 10)
					return
				}
			}
		})
	}
}

// failsAt is false when an evacuation has fewer than n operations.
func failsAt(t *testing.T, n int, cause error) (tripped bool) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		s, _, want := ripen(t, dir, handOptions(), 300, 5*day, 50*day)
		stop := durable.Observe(&tripwire{trip: func(i int) error {
			if i == n {
				tripped = true
				return cause
			}
			return nil
		}})
		err := evacuateOne(s)
		stop()
		if !tripped {
			require.NoError(t, err)
		}
		requirePending(t, s, want)
		if s.Err() == nil {
			if err != nil {
				require.NoError(t, evacuateOne(s), "operation %d: it works when it is tried again", n)
				requirePending(t, s, want)
			}
			_ = s.Checkpoint(context.Background())
		}
		_ = s.Close()
		s = mustOpen(t, dir, handOptions())
		requirePending(t, s, want)
		require.NoError(t, s.Close())
	})
	return tripped
}

// badPlace is a disk that makes no file with a certain name.
type badPlace string

// Do implements durable.Observer.
func (b badPlace) Do(op durable.Op, _ *os.File, path, _ string, run func() error) error {
	if op == durable.OpCreate && strings.Contains(path, string(b)) {
		return syscall.EIO
	}
	return run()
}

// TestSegmentThatCannotBeMovedHoldsUpNothingElse: the others move, and runs are merged.
func TestSegmentThatCannotBeMovedHoldsUpNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := farOptions()
		o.mergeAbove, o.MemtableEntries = 3, 20
		s := mustOpen(t, testutil.FastDir(t), o)
		q := mustQueue(t, s, "far", 0)
		near := putFar(t, s, q, 200, 60*time.Hour, 90*time.Hour) // lane 2
		want := putFar(t, s, q, 1000, 5*day, 50*day)
		segments := s.lanes[farLane].log.Segments()
		require.Greater(t, len(segments), 2)
		stop := durable.Observe(badPlace(filepath.Join(logDir, "16", fmt.Sprintf("%020d", segments[0].Base))))
		defer stop()
		time.Sleep(15 * time.Hour)
		synctest.Wait()
		left := s.lanes[farLane].log.Segments()
		require.Len(t, left, 1)
		require.Equal(t, segments[0].Base, left[0].Base)
		require.Equal(t, len(segments)-1, s.cold.files.Usage().Files)
		require.LessOrEqual(t, len(s.lanes[2].index.Runs()), 3)
		stop()
		require.ErrorIs(t, func() error {
			defer durable.Observe(badPlace(filepath.Join(logDir, "16")))()
			return s.compactor.run(true)
		}(), syscall.EIO)
		require.NoError(t, s.compactor.run(true), "it moves when it can")
		require.Empty(t, s.lanes[farLane].log.Segments())
		requirePending(t, s, append(near, want...))
		require.NoError(t, s.Close())
	})
}
