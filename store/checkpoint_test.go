package store

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/durable"
	"github.com/duelog/duelog/internal/testutil"
)

// slowRename holds the first renaming to a run until it is let go.
type slowRename struct {
	once       sync.Once
	begun, let chan struct{}
}

func (d *slowRename) Do(op durable.Op, _ *os.File, _, to string, run func() error) error {
	if op == durable.OpRename && strings.HasSuffix(to, ".run") {
		d.once.Do(func() {
			close(d.begun)
			<-d.let
		})
	}
	return run()
}

// A flush of the index that takes long must not put back a mark that is older
// than the one of a checkpoint meanwhile: the journal that says what was fired
// between the two is not read any more.
func TestCheckpointDuringAnIndexFlushFiresNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		disk := &slowRename{begun: make(chan struct{}), let: make(chan struct{})}
		defer durable.Observe(disk)()
		dir := testutil.FastDir(t)
		o := small(Options{clock: newPlainClock(time.Hour), keeperTick: time.Hour, horizon: 12 * time.Hour})
		s := mustOpen(t, dir, o)
		q := mustQueue(t, s, "a", 0)
		mustPut(t, s, q, s.NowMs()+10_000, "x")
		s.near.mu.Lock()
		s.lanes[0].index.Freeze()
		s.near.mu.Unlock()
		s.kickKeeper()
		<-disk.begun
		time.Sleep(20 * time.Second)
		synctest.Wait()
		require.EqualValues(t, 1, q.Max())
		require.NoError(t, s.checkpoint())
		close(disk.let)
		synctest.Wait()

		image := testutil.CopyDir(t, dir)
		require.NoError(t, os.Remove(filepath.Join(image, lockName)))
		again := mustOpen(t, image, o)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []string{"x"}, payloads(t, again, again.LookupQueue("a", 0)))
		require.NoError(t, again.Close())
		require.NoError(t, s.Close())
	})
}

// failOnce lets one operation on the file of a name, or what becomes it, fail.
type failOnce struct {
	op    durable.Op
	name  string
	cause error
	done  atomic.Bool
}

func (d *failOnce) Do(op durable.Op, f *os.File, path, _ string, run func() error) error {
	if f != nil {
		path = f.Name()
	}
	if op == d.op && strings.HasPrefix(filepath.Base(path), d.name) && d.done.CompareAndSwap(false, true) {
		return d.cause
	}
	return run()
}

// A checkpoint that has flushed the queues and then finds no space for its edit must
// leave these queues to the next one: that one moves the replay point past what
// would put their slots again.
func TestCheckpointThatFailsLeavesItsQueuesToTheNext(t *testing.T) {
	dir := testutil.FastDir(t)
	o := small(Options{keeperTick: time.Hour})
	s := mustOpen(t, dir, o)
	q := mustQueue(t, s, "a", 0)
	mustPut(t, s, q, 0, "x")
	flushAll(t, s) // so that recovery does not read the log for the sake of the index
	stop := durable.Observe(&failOnce{op: durable.OpWrite, name: manifestName, cause: syscall.ENOSPC})
	require.ErrorIs(t, s.checkpoint(), syscall.ENOSPC)
	stop()
	require.NoError(t, s.checkpoint())

	image := testutil.CopyDir(t, dir)
	require.NoError(t, os.Remove(filepath.Join(image, lockName)))
	again := mustOpen(t, image, o)
	require.Equal(t, []string{"x"}, payloads(t, again, again.LookupQueue("a", 0)))
	require.NoError(t, again.Close())
	require.NoError(t, s.Close())
}

// Some file systems find out at the sync that there is no space. The MANIFEST cannot
// be written any more then, whatever space comes: that needs a restart, and says so.
func TestStoreStopsWhenItsManifestIsInDoubt(t *testing.T) {
	s := mustOpen(t, testutil.FastDir(t), small(Options{keeperTick: time.Hour}))
	q := mustQueue(t, s, "a", 0)
	mustPut(t, s, q, 0, "x")
	defer durable.Observe(&failOnce{op: durable.OpSync, name: manifestName, cause: syscall.ENOSPC})()
	require.ErrorIs(t, s.checkpoint(), syscall.ENOSPC)
	require.ErrorIs(t, s.Err(), syscall.ENOSPC)
	_, err := s.Put(context.Background(), &Message{Queue: q, Payload: []byte("y")})
	require.ErrorIs(t, err, ErrReadOnly)
	require.NoError(t, s.Close())
}
