package cold

import (
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

// evict asks the kernel to forget the pages of a file.
func evict(t testing.TB, path string) {
	t.Helper()
	f, err := os.Open(path)
	require.NoError(t, err)
	require.NoError(t, unix.Fdatasync(int(f.Fd())))
	require.NoError(t, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
	require.NoError(t, f.Close())
}

func TestPrefetchBringsBlocksIntoMemoryAndLeavesOthersAlone(t *testing.T) {
	s := openSet(t, t.TempDir())
	recs := jsonRecords(3000)
	info := write(t, s, testBase, recs)
	f, err := s.Load(info)
	require.NoError(t, err)
	s.Add(f)
	x := s.files[info.Base]
	require.Greater(t, len(x.blocks), 20)
	evict(t, filePath(s.dir, info))
	there := func(st stretch) (yes bool) {
		for at := st.at; at < st.at+st.n; at += pageSize {
			if !resident(int(x.f.Fd()), stretch{at, 1}) {
				return false
			}
		}
		return true
	}
	from, to := info.Base+int64(x.blocks[10].pos)+100, info.Base+int64(x.blocks[13].pos)+1
	want := stretch{int64(x.blocks[10].at), int64(x.blocks[14].at) - int64(x.blocks[10].at)}
	if there(want) {
		t.Skip("this file system keeps its pages in memory")
	}
	require.Positive(t, s.Prefetch(from, to))
	require.Eventually(t, func() bool { return there(want) }, 30*time.Second, time.Millisecond)
	require.Zero(t, s.Prefetch(from, to), "it is there already")

	require.Zero(t, s.Prefetch(info.Base-testSegment, info.Base-testSegment+100), "no such file")
	require.Zero(t, s.Prefetch(info.Base+info.Size, info.Base+info.Size+100), "beyond the end")
	_, err = s.View(recs[0].off, int32(len(recs[0].Payload)))
	require.NoError(t, err)
	evict(t, filePath(s.dir, info))
	require.Zero(t, s.Prefetch(recs[0].off, recs[0].off+1), "it is decoded")
	require.NoError(t, s.Close())
	require.Zero(t, s.Prefetch(from, to))
}

func TestStretchesOfAFileAreJoinedUpToAStep(t *testing.T) {
	st := stretch{100, 50}
	require.False(t, st.extend(151, 10), "a gap")
	require.True(t, st.extend(150, 10))
	require.False(t, st.extend(160, prefetchStep), "too long")
	require.Equal(t, stretch{100, 60}, st)
}
