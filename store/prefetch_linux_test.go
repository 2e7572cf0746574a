package store

import (
	"context"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/duelog/duelog/commitlog"
)

// evictCold asks the kernel to forget the pages of the cold files.
func evictCold(t testing.TB, s *Store) {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(s.dir, logDir, "16", "*"))
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, path := range files {
		f, err := os.Open(path)
		require.NoError(t, err)
		require.NoError(t, unix.Fdatasync(int(f.Fd())))
		require.NoError(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
		require.NoError(t, f.Close())
	}
}

// Bodies of cold files are asked for before their second begins, whether the wheel
// holds it or it is streamed, and no more of them than the option allows.
func TestColdBodiesAreAskedForBeforeTheyAreDue(t *testing.T) {
	for name, c := range map[string]struct {
		near  int
		bytes int64
	}{"from the wheel": {1 << 20, 0}, "streamed": {1024, 0}, "bounded": {1 << 20, 4096}, "not at all": {1 << 20, -1}} {
		t.Run(name, func(t *testing.T) {
			clock := NewManualClock(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
			s := mustOpen(t, t.TempDir(), &Options{
				Clock: clock, Flush: commitlog.Async, DelaySegmentSize: 1 << 20, NearEntries: c.near, PrefetchBytes: c.bytes,
			})
			q := mustQueue(t, s, "far", 0)
			want := putFar(t, s, q, 3000, 10*day, 10*day+999*time.Millisecond)
			clock.Advance(time.UnixMilli(s.NowMs()).Add(7 * time.Hour))
			require.NoError(t, s.Settle(context.Background()))
			require.NoError(t, s.Maintain(context.Background()))
			require.Equal(t, int64(len(want)), s.cold.files.Usage().Records)
			base := s.cold.files.Infos()[0].Base
			evictCold(t, s)
			if s.cold.files.Prefetch(base, base+1) == 0 {
				t.Skip("this file system keeps its pages in memory")
			}
			evictCold(t, s)
			asked := func() float64 { return testutil.ToFloat64(s.metrics.prefetched) }
			require.Zero(t, asked())

			clock.Advance(time.UnixMilli(want[0].fireMs - 600))
			require.NoError(t, s.Settle(context.Background()))
			if c.bytes >= 0 {
				require.Eventually(t, func() bool { return asked() > 0 }, 30*time.Second, time.Millisecond)
			}
			require.Zero(t, q.Max())
			clock.Advance(time.UnixMilli(want[len(want)-1].fireMs))
			require.NoError(t, s.Settle(context.Background()))
			seen := 0
			requireFired(t, s, q, want, &seen)
			require.NoError(t, s.Close())
			switch {
			case c.bytes < 0:
				require.Zero(t, asked())
			case c.bytes > 0:
				require.LessOrEqual(t, asked(), float64(prefetchers*(prefetchRange+commitlog.RecordHeaderSize)))
			}
		})
	}
}
