package cold

import (
	"math/rand/v2"
	"os"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
)

func randomRecords(n int) []kept {
	return records(n, func(r *rand.Rand, _ int) []byte { return randomBody(r, 4000) })
}

// give runs one pass of retention for what fired up to deadMs.
func give(t *testing.T, s *Set, deadMs int64) []Info {
	t.Helper()
	infos := s.Dying(deadMs)
	require.NoError(t, s.Release(infos))
	return infos
}

func TestDeadPrefixGivesItsBytesBackAndTheRestStays(t *testing.T) {
	dir := t.TempDir()
	s := openSet(t, dir)
	recs := randomRecords(2000)
	info := write(t, s, testBase, recs)
	full := diskBytes(t, filePath(dir, info))
	half := recs[1000].When - 1
	require.Len(t, give(t, s, half), 1)
	for i := range recs {
		b, err := s.View(recs[i].off, 4000)
		switch {
		case i >= 1000:
			require.NoError(t, err)
			require.Equal(t, string(recs[i].Payload), string(b))
		case i < 1000-32: // within a block of what lives
			require.ErrorIs(t, err, commitlog.ErrNotFound)
		}
	}
	if runtime.GOOS == "linux" {
		left := diskBytes(t, filePath(dir, info))
		require.InDelta(t, full/2, left, 300<<10)
		require.InDelta(t, float64(left), float64(s.Usage().Bytes), 64<<10)
	}
	again := openSet(t, dir, s.Infos()...)
	requireReadable(t, again, recs[1000:])
	_, err := again.View(recs[0].off, 10)
	require.ErrorIs(t, err, commitlog.ErrNotFound)
	n := 0
	for _, err := range again.Records(testBase) {
		require.NoError(t, err)
		n++
	}
	require.GreaterOrEqual(t, n, 1000)
	require.Less(t, n, 1032)
}

func TestDeadFileIsUnlinked(t *testing.T) {
	dir := t.TempDir()
	s := openSet(t, dir)
	recs := randomRecords(100)
	info := write(t, s, testBase, recs)
	require.Empty(t, s.Dying(recs[0].When-1))
	infos := give(t, s, info.MaxFireMs)
	require.Len(t, infos, 1)
	require.Equal(t, info.Size, infos[0].DeadTo)
	require.Empty(t, fileNames(t, dir))
	_, err := s.View(recs[99].off, 10)
	require.ErrorIs(t, err, commitlog.ErrNotFound)
	require.Zero(t, s.Usage())
}

// However large the file: what is dead and still takes space is less than a batch and
// a block, and no pass gives back less than a batch.
func TestHolesArePunchedInBatchesOf64KiB(t *testing.T) {
	s := openSet(t, t.TempDir())
	recs := randomRecords(6000)
	info := write(t, s, testBase, recs)
	passes := int64(0)
	for i := range recs[:len(recs)-1] {
		passes += int64(len(give(t, s, recs[i].When)))
		alive := info.FileSize * int64(len(recs)-1-i) / int64(len(recs))
		require.Less(t, s.Usage().Bytes-alive, int64(128<<10), "record %d", i)
	}
	require.LessOrEqual(t, passes, info.FileSize/(64<<10))
}

func TestFileOfLateMessagesIsKeptFromTheirFiringOn(t *testing.T) {
	s := openSet(t, t.TempDir())
	recs := randomRecords(1000)
	info := write(t, s, testBase, recs)
	s.KeepFor(recs[10].off, recs[14].When) // the last of the same block
	require.Zero(t, s.Infos()[0].KeepMs)
	s.KeepFor(recs[10].off, recs[14].When+1)
	require.Equal(t, recs[14].When+1, s.Infos()[0].KeepMs)
	late := info.MaxFireMs + 5_000_000
	s.KeepFor(recs[10].off, late)
	require.Equal(t, late, s.Infos()[0].KeepMs)
	require.Empty(t, s.Dying(late-1))
	require.Len(t, s.Dying(late), 1)
	s.KeepFor(0, late) // no such file
}

func TestWalkFindsTheBlocksBehindAHole(t *testing.T) {
	dir := t.TempDir()
	s := openSet(t, dir)
	recs := randomRecords(1000)
	info := write(t, s, testBase, recs)
	give(t, s, recs[600].When)
	infos := s.Infos()
	require.NoError(t, s.Close())
	path := filePath(dir, info)
	data, err := os.ReadFile(path)
	require.NoError(t, err)
	data[len(data)-70] ^= 1
	require.NoError(t, os.WriteFile(path, data, 0o644))
	requireReadable(t, openSet(t, dir, infos...), recs[601:])
}
