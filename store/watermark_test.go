package store

import (
	"context"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/durable"
	"github.com/duelog/duelog/internal/testutil"
)

func TestDiskLevelCountsPercentAndFreeBytesAndHasSlack(t *testing.T) {
	const gib = 1 << 30
	var o Options
	o.EnsureDefaults()
	for _, c := range []struct {
		name       string
		total      int64
		free       int64
		was, level DiskLevel
	}{
		{"empty", 100 * gib, 100 * gib, DiskEnough, DiskEnough},
		{"small disk at 79 %", 10 * gib, 21 * gib / 10, DiskEnough, DiskEnough},
		{"small disk at 81 %", 10 * gib, 19 * gib / 10, DiskEnough, DiskShort},
		{"small disk at 91 %", 10 * gib, 9 * gib / 10, DiskEnough, DiskRefuses},
		{"95 % full with 50 GiB left", 1000 * gib, 50 * gib, DiskEnough, DiskEnough},
		{"98 % full with 15 GiB left", 750 * gib, 15 * gib, DiskEnough, DiskShort},
		{"99 % full with 9 GiB left", 900 * gib, 9 * gib, DiskEnough, DiskRefuses},
		{"back at 89 % is not enough", 10 * gib, 11 * gib / 10, DiskRefuses, DiskRefuses},
		{"back at 87 % is", 10 * gib, 13 * gib / 10, DiskRefuses, DiskShort},
		{"back at 12 GiB is not enough", 900 * gib, 12 * gib, DiskRefuses, DiskRefuses},
		{"back at 13 GiB is", 900 * gib, 13 * gib, DiskRefuses, DiskShort},
		{"warned at 79 %", 10 * gib, 21 * gib / 10, DiskShort, DiskShort},
		{"warned at 77 %", 10 * gib, 23 * gib / 10, DiskShort, DiskEnough},
		{"nothing is known", 0, 0, DiskEnough, DiskEnough},
	} {
		require.Equal(t, c.level, o.diskLevel(durable.Space{Used: c.total - c.free, Free: c.free}, c.was), c.name)
	}
	o.DiskRefuse = 1
	require.Equal(t, DiskShort, o.diskLevel(durable.Space{Used: 1 << 20, Free: 1}, DiskEnough), "only a disk without any space refuses then")
}

func TestBeyondTheLimitSendsAreRefusedAndDueMessagesFireUntilThereIsSpace(t *testing.T) {
	t.Parallel()
	var free atomic.Int64
	free.Store(80)
	o := small(Options{keeperTick: 5 * time.Millisecond, DiskFree: 50, diskSpace: func(string) (durable.Space, error) {
		return durable.Space{Used: 100 - free.Load(), Free: free.Load()}, nil
	}})
	s := mustOpen(t, testutil.FastDir(t), o)
	q := mustQueue(t, s, "due", 0)
	for i := range int64(20) {
		mustPut(t, s, q, s.NowMs()+1500+i, "x")
	}
	mustPut(t, s, mustQueue(t, s, "kept", 0), s.NowMs()+3600_000, "kept")
	await := func(level DiskLevel) {
		t.Helper()
		require.Eventually(t, func() bool { return s.Stats().DiskLevel == level }, 20*time.Second, time.Millisecond)
	}
	free.Store(15)
	await(DiskShort)
	mustPut(t, s, q, s.NowMs()+1500, "taken")
	free.Store(5)
	await(DiskRefuses)
	st := s.Stats()
	require.True(t, st.DiskFull)
	require.EqualValues(t, 5, st.DiskFree)
	_, err := s.Put(context.Background(), &Message{Queue: q, Payload: []byte("refused")})
	require.ErrorIs(t, err, ErrDiskFull)
	awaitMax(t, q, 21)
	free.Store(60)
	await(DiskEnough)
	mustPut(t, s, q, 0, "again")
	require.False(t, s.Stats().DiskFull)
	require.EqualValues(t, 1, s.Pending(), "nothing that is pending was deleted")
	require.NoError(t, s.Err())
}

// On a real file system, from a disk that somebody else fills.
func TestShortDiskGetsTheSparesBackAndTakesMessagesAgain(t *testing.T) {
	mount := testutil.Tmpfs(t, 16<<20)
	dir := filepath.Join(mount, "store")
	o := small(Options{keeperTick: 5 * time.Millisecond})
	s := mustOpen(t, dir, o)
	mustQueue(t, s, "orders", 0)
	spare := filepath.Join(dir, poolDir, "00000000000000000001.spare")
	require.NoError(t, os.MkdirAll(filepath.Dir(spare), 0o755))
	require.NoError(t, os.WriteFile(spare, make([]byte, o.SegmentSize), 0o644))
	require.NoError(t, s.Close())
	s = mustOpen(t, dir, o)
	q := s.LookupQueue("orders", 0)
	require.FileExists(t, spare, "there is space: it is kept for reuse")

	space, err := durable.DiskSpace(mount)
	require.NoError(t, err)
	filler := filepath.Join(mount, "filler")
	require.NoError(t, os.WriteFile(filler, make([]byte, space.Free-1<<20), 0o644))
	require.Eventually(t, func() bool { return s.Stats().DiskLevel == DiskRefuses }, 20*time.Second, time.Millisecond)
	require.NoFileExists(t, spare)
	_, err = s.Put(context.Background(), &Message{Queue: q, Payload: []byte("x")})
	require.ErrorIs(t, err, ErrDiskFull)

	require.NoError(t, os.Remove(filler))
	require.Eventually(t, func() bool { return s.Stats().DiskLevel == DiskEnough }, 20*time.Second, time.Millisecond)
	mustPut(t, s, q, 0, "x")
}
