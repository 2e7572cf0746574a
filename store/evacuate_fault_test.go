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
	d.mu.Lock() // one operation at a time, whoever does it
	defer d.mu.Unlock()
	n := d.ops
	d.ops++
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
	_, err := ev.run()
	return err
}

// requirePending checks that all of want is pending, each once, can be read, and, of every
// eighth, that its key leads to where it is.
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
		if s.opts.Keys != nil && i%8 == 0 {
			requireFoundAt(t, s, want[i].payload, m.Loc)
		}
		i++
	}
	require.Equal(t, len(want), i)
}

// requireFoundAt checks that the key of a message leads to loc, and to no other message.
func requireFoundAt(t testing.TB, s *Store, payload string, loc commitlog.Loc) {
	t.Helper()
	found := 0
	require.NoError(t, s.Lookup(firstWord([]byte(payload), nil)[0], func(at commitlog.Loc) bool {
		if v, err := s.ReadAt(at); err == nil {
			require.Equal(t, loc, at)
			v.Release()
			found++
		} else {
			require.ErrorIs(t, err, ErrNotFound)
		}
		return true
	}))
	require.Equal(t, 1, found)
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
		synctest.Wait() // the key index drops the runs of the segment
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
		synctest.Wait() // the key index drops the runs of the segment
		stop()
		if !tripped {
			require.NoError(t, err)
		}
		requirePending(t, s, want)
		if s.Err() == nil {
			if err != nil {
				for _, part := range []string{logDir, keysDir} {
					left, err := filepath.Glob(filepath.Join(dir, part, "16", "*"))
					require.NoError(t, err)
					require.Empty(t, left, "operation %d: the next attempt needs the space", n)
				}
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
type badPlace struct {
	name  string
	tried *int
}

// Do implements durable.Observer.
func (b badPlace) Do(op durable.Op, _ *os.File, path, _ string, run func() error) error {
	if op == durable.OpCreate && strings.Contains(path, b.name) {
		*b.tried++
		return syscall.EIO
	}
	return run()
}

// TestSegmentThatCannotBeMovedHoldsUpNothingElse: the others move, and runs are merged.
// It stays where it is then, and its messages are found and fire from there.
func TestSegmentThatCannotBeMovedHoldsUpNothingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := farOptions()
		o.mergeAbove, o.MemtableEntries = 3, 20
		o.Keys = firstWord
		dir := testutil.FastDir(t)
		s := mustOpen(t, dir, o)
		q := mustQueue(t, s, "far", 0)
		near := putFar(t, s, q, 200, 60*time.Hour, 90*time.Hour) // lane 2
		want := putFar(t, s, q, 2400, 5*day, 50*day)
		segments := s.lanes[farLane].log.Segments()
		require.Greater(t, len(segments), 5)
		tried := 0
		place := badPlace{filepath.Join(logDir, "16", fmt.Sprintf("%020d", segments[0].Base)), &tried}
		stop := durable.Observe(place)
		defer stop()
		time.Sleep(28 * time.Hour)
		synctest.Wait()
		require.Equal(t, evacuateTries, tried, "then it is given up")
		left := s.lanes[farLane].log.Segments()
		require.Len(t, left, 1)
		require.Equal(t, segments[0].Base, left[0].Base)
		require.Equal(t, len(segments)-1, s.cold.files.Usage().Files)
		require.LessOrEqual(t, len(s.lanes[2].index.Runs()), 3)
		require.LessOrEqual(t, len(s.cold.index.Runs()), 3)
		stop()
		all := append(near, want...)
		for range 3 {
			require.NoError(t, s.compactor.run(true))
			require.Len(t, s.lanes[farLane].log.Segments(), 1, "others went before it")
			requirePending(t, s, all)
			require.NoError(t, s.Close())
			s = mustOpen(t, dir, o)
		}
		time.Sleep(53 * day)
		synctest.Wait()
		require.Zero(t, s.Pending())
		require.Empty(t, s.lanes[farLane].log.Segments(), "it goes when it is dead")
		require.NoError(t, s.Close())
	})
}

// TestWorkThatFailsRestsLongerEachTime, and begins anew when it has succeeded.
func TestWorkThatFailsRestsLongerEachTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &Store{}
		c := newCompactor(s)
		begin, fails := time.Now(), true
		var at []time.Duration
		work := func() error {
			at = append(at, time.Since(begin))
			if fails {
				return syscall.EIO
			}
			return nil
		}
		for range 5 * 60 {
			_ = c.resting(2, work)
			require.ErrorIs(t, c.resting(3, func() error { return errStopping }), errStopping, "another lane does not rest")
			time.Sleep(time.Minute)
		}
		m := time.Minute
		require.Equal(t, []time.Duration{0, m, 3 * m, 7 * m, 15 * m, 31 * m, 63 * m, 123 * m, 183 * m, 243 * m}, at)
		fails = false
		time.Sleep(time.Hour)
		require.NoError(t, c.resting(2, work))
		fails = true
		require.Error(t, c.resting(2, work))
		require.NoError(t, c.resting(2, work), "it rests")
		time.Sleep(m)
		require.Error(t, c.resting(2, work))
		for range 3 {
			time.Sleep(time.Hour)
			require.ErrorIs(t, c.resting(2, func() error { return ErrDiskFull }), ErrDiskFull)
		}
		time.Sleep(m)
		require.Error(t, c.resting(2, work), "space may be there again")
		c.throttle.off = true
		require.Error(t, c.resting(2, work), "who asks for it at once does not wait")
	})
}

// TestSegmentsMoveInTheirOrderWhateverTheClockSays: one that was made while the clock
// was ahead is no younger than those that came after it.
func TestSegmentsMoveInTheirOrderWhateverTheClockSays(t *testing.T) {
	info := func(createdMs int64) commitlog.SegmentInfo { return commitlog.SegmentInfo{CreatedMs: createdMs} }
	require.Equal(t, []int64{1, 4, 4, 5}, createdBy([]commitlog.SegmentInfo{info(1), info(9), info(4), info(5)}))
	require.Empty(t, createdBy(nil))
}

// TestMoveIsTrueThoughTheManifestCannotBeRewritten: the edit was durable before that was
// tried, and the store must not go on as if it were not.
func TestMoveIsTrueThoughTheManifestCannotBeRewritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := handOptions()
		o.manifestLimit = 1
		s, _, want := ripen(t, testutil.FastDir(t), o, 900, 5*day, 50*day)
		s.catalog.view(func(*catalogState) { s.catalog.whole = 0 }) // the next edit is one too many
		tried := 0
		func() {
			defer durable.Observe(badPlace{manifestName + ".tmp", &tried})()
			for range 2 {
				require.NoError(t, evacuateOne(s))
				requirePending(t, s, want)
			}
		}()
		require.Equal(t, 1, tried, "again when the MANIFEST is twice as long")
		require.Equal(t, 2, s.cold.files.Usage().Files)
		require.NoError(t, s.Err())
		dir := s.dir
		require.NoError(t, s.Close())
		s = mustOpen(t, dir, o)
		requirePending(t, s, want)
		require.NoError(t, s.Close())
	})
}
