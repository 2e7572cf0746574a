package commitlog

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// segmentOf writes frames of one record each, and returns the file and where they end.
func segmentOf(t *testing.T, n int) (path string, ends []int64) {
	var b []byte
	for i := range n {
		b = AppendFrame(b, MakeLoc(1, int64(len(b))), int64(100+i), Record{When: int64(i), Flags: FlagScheduled, Queue: 7, Payload: []byte("payload")})
		ends = append(ends, int64(len(b)))
	}
	path = filepath.Join(t.TempDir(), "00000000000000000000")
	require.NoError(t, os.WriteFile(path, append(b, make([]byte, 4096)...), 0o644))
	return path, ends
}

func scanTimes(t *testing.T, path string, s FileScan) (times []int64, lost []Damage, end FileEnd) {
	s.Lane = 1
	s.Visit = func(f Frame) error { times = append(times, f.StoreMs); return nil }
	s.Damaged = func(from, to int64, _ *CorruptionError) { lost = append(lost, Damage{from, to}) }
	end, err := ScanFile(path, s)
	require.NoError(t, err)
	return times, lost, end
}

func TestScanFileReadsFromAnyFrameToTheTail(t *testing.T) {
	path, ends := segmentOf(t, 3)
	times, lost, end := scanTimes(t, path, FileScan{})
	require.Equal(t, []int64{100, 101, 102}, times)
	require.Empty(t, lost)
	require.Equal(t, FileEnd{Pos: ends[2], LastMs: 102}, end)

	times, _, _ = scanTimes(t, path, FileScan{From: ends[1]})
	require.Equal(t, []int64{102}, times)
	times, _, _ = scanTimes(t, path, FileScan{Limit: ends[1]})
	require.Equal(t, []int64{100, 101}, times)
}

func TestScanFileTellsDamageFromATornTail(t *testing.T) {
	path, ends := segmentOf(t, 3)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	b[ends[1]-1] ^= 1
	require.NoError(t, os.WriteFile(path, b, 0o644))
	times, lost, _ := scanTimes(t, path, FileScan{})
	require.Equal(t, []int64{100, 102}, times)
	require.Equal(t, []Damage{{ends[0], ends[1]}}, lost)

	b[ends[2]-1] ^= 1
	require.NoError(t, os.WriteFile(path, b, 0o644))
	_, lost, end := scanTimes(t, path, FileScan{})
	require.Empty(t, lost)
	require.Equal(t, ends[0], end.Pos)
	require.Positive(t, end.Torn)
	_, lost, _ = scanTimes(t, path, FileScan{Known: ends[2]})
	require.Equal(t, []Damage{{ends[0], ends[2]}}, lost, "it was committed once")
}

func TestFillerFramesTakeThePlaceOfDamage(t *testing.T) {
	path, ends := segmentOf(t, 3)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	copy(b[ends[0]:], AppendFiller(nil, MakeLoc(1, ends[0]), 100, int(ends[1]-ends[0])))
	require.NoError(t, os.WriteFile(path, b, 0o644))
	records := 0
	_, err = ScanFile(path, FileScan{
		Lane: 1, Known: ends[2], Damaged: func(_, _ int64, reason *CorruptionError) { t.Error(reason) },
		Visit: func(f Frame) error {
			for range f.Items() {
				records++
			}
			return nil
		},
	})
	require.NoError(t, err)
	require.Equal(t, 2, records)
}

func TestScanFileOfTheFirstFrameLooksNoFurther(t *testing.T) {
	path, ends := segmentOf(t, 3)
	times, _, _ := scanTimes(t, path, FileScan{First: true})
	require.Equal(t, []int64{100}, times)
	times, _, _ = scanTimes(t, path, FileScan{First: true, From: ends[0]})
	require.Equal(t, []int64{101}, times)
	times, lost, _ := scanTimes(t, path, FileScan{First: true, From: ends[0] + 1, Whole: true})
	require.Empty(t, times)
	require.Empty(t, lost)
	times, _, _ = scanTimes(t, path, FileScan{First: true, From: ends[2] + 4096})
	require.Empty(t, times)
}

// TestScanFileFindsFramesBehindAHole looks for what follows bytes that were never
// written, in a file that has none of them, and in one that has them as zeroes.
func TestScanFileFindsFramesBehindAHole(t *testing.T) {
	const hole = 5<<20 + 77
	for _, sparse := range []bool{true, false} {
		path, ends := segmentOf(t, 2)
		require.NoError(t, os.Truncate(path, ends[1]))
		at := ends[1] + hole
		f, err := os.OpenFile(path, os.O_RDWR, 0)
		require.NoError(t, err)
		if !sparse {
			_, err = f.WriteAt(make([]byte, hole), ends[1])
			require.NoError(t, err)
		}
		_, err = f.WriteAt(AppendFrame(nil, MakeLoc(1, at), 102, Record{Flags: FlagScheduled, Payload: []byte("behind")}), at)
		require.NoError(t, err)
		require.NoError(t, f.Truncate(at+3*hole))
		require.NoError(t, f.Close())
		times, lost, end := scanTimes(t, path, FileScan{})
		require.Equal(t, []int64{100, 101, 102}, times)
		require.Equal(t, []Damage{{ends[1], at}}, lost)
		require.Zero(t, end.Torn)
		times, lost, _ = scanTimes(t, path, FileScan{Whole: true})
		require.Len(t, times, 3)
		require.Len(t, lost, 2)
	}
}
