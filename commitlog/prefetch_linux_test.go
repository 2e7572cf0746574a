package commitlog

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// evict asks the kernel to forget the pages of a lane's files.
func evict(t testing.TB, dir string) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*"))
	require.NoError(t, err)
	for _, path := range files {
		f, err := os.Open(path)
		require.NoError(t, err)
		require.NoError(t, unix.Fdatasync(int(f.Fd())))
		require.NoError(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
		require.NoError(t, f.Close())
	}
}

func TestPrefetchBringsColdBytesIntoMemoryAndLeavesOthersAlone(t *testing.T) {
	dir := t.TempDir()
	o := &Options{SegmentSize: 1 << 20}
	l, _, err := Open(dir, nil, 0, nil, o)
	require.NoError(t, err)
	for range 300 {
		require.NoError(t, l.Append(&Record{Payload: make([]byte, 8<<10)}, nil, 0))
	}
	require.NoError(t, l.Close())
	l, _, err = Open(dir, l.Segments(), l.Tail(), nil, o)
	require.NoError(t, err)
	defer func() { require.NoError(t, l.Close()) }()
	evict(t, dir)

	resident := func(from, n int64) bool {
		f := l.chain.Acquire(from)
		defer f.Release()
		return f.Resident(from-f.Base(), int32(n))
	}
	const from, n = 300_000, 200_000
	if resident(from, n) {
		t.Skip("this file system keeps its pages in memory")
	}
	require.GreaterOrEqual(t, l.Prefetch(from, from+n), int64(n))
	require.Eventually(t, func() bool { return resident(from, n) }, 30*time.Second, time.Millisecond)
	require.Zero(t, l.Prefetch(from, from+n), "it is there already")
	require.Zero(t, l.Prefetch(1<<40, 1<<40+n), "beyond the end")
}
