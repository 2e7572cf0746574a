package commitlog

import (
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// longSegment writes frames of many sizes, from nothing to several chunks, over about n
// bytes, and returns where they end.
func longSegment(t *testing.T, n int) (path string, ends []int64) {
	rng := rand.New(rand.NewPCG(1, 2))
	noise := make([]byte, 3*aheadChunk)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	var b []byte
	for len(b) < n {
		size := rng.IntN([]int{1, 200, 30_000, aheadChunk, aheadSlack + aheadChunk/2, 3 * aheadChunk}[rng.IntN(6)])
		b = AppendFrame(b, MakeLoc(1, int64(len(b))), int64(100+len(ends)), Record{When: 5, Flags: FlagScheduled, Queue: 7, Payload: noise[:size]})
		ends = append(ends, int64(len(b)))
	}
	path = filepath.Join(t.TempDir(), "00000000000000000000")
	require.NoError(t, os.WriteFile(path, b, 0o644))
	return path, ends
}

// framesOf scans a file and returns where its frames end and what is damaged. Frames are
// valid as they are handed out.
func framesOf(t *testing.T, path string, s FileScan) (ends []int64, lost []Damage) {
	t.Helper()
	s.Lane, s.Whole = 1, true
	s.Visit = func(f Frame) error {
		h, err := parseFrameHeader(f.Append(nil))
		require.NoError(t, err)
		require.NoError(t, h.verify(f.Append(nil)))
		ends = append(ends, f.End)
		return nil
	}
	s.Damaged = func(from, to int64, _ *CorruptionError) { lost = append(lost, Damage{from, to}) }
	_, err := ScanFile(path, s)
	require.NoError(t, err)
	return ends, lost
}

func TestAScanThatReadsAheadSeesEveryFrame(t *testing.T) {
	path, ends := longSegment(t, 24*aheadChunk)
	var b ScanBuffer
	for _, i := range []int{0, 1, len(ends) / 2} {
		got, lost := framesOf(t, path, FileScan{From: ends[i], Buffer: &b})
		require.Equal(t, ends[i+1:], got)
		require.Empty(t, lost)
		require.Len(t, b.chunks, aheadChunks)
	}
	got, _ := framesOf(t, path, FileScan{Limit: ends[len(ends)-3]})
	require.Equal(t, ends[:len(ends)-2], got)
}

func TestAScanThatReadsAheadGoesOnBehindDamageAndHoles(t *testing.T) {
	path, ends := longSegment(t, 24*aheadChunk)
	want := append([]int64(nil), ends...)
	var damaged []Damage
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	for i := len(ends) - 2; i > 3; i -= 5 {
		_, err := f.WriteAt([]byte{0xff, 0xff}, ends[i-1]+int64(i%2)*8) // its magic, or its length
		require.NoError(t, err)
		damaged = append([]Damage{{ends[i-1], ends[i]}}, damaged...)
		want = append(want[:i], want[i+1:]...)
	}
	require.NoError(t, f.Truncate(ends[len(ends)-1]+64*aheadChunk))
	require.NoError(t, f.Close())
	got, lost := framesOf(t, path, FileScan{})
	require.Equal(t, want, got)
	end := ends[len(ends)-1]
	require.Equal(t, append(damaged, Damage{end, end + 64*aheadChunk}), lost)
}

func TestAScanThatReadsAheadEndsWithItsVisitor(t *testing.T) {
	path, _ := longSegment(t, 8*aheadChunk)
	n := 0
	_, err := ScanFile(path, FileScan{Lane: 1, Visit: func(Frame) error {
		if n++; n == 4 {
			return errEnough
		}
		return nil
	}})
	require.ErrorIs(t, err, errEnough) // and leaves no goroutine, as TestMain sees
}

func TestAFileThatGetsShorterWhileItIsReadIsAnError(t *testing.T) {
	path, _ := longSegment(t, 16*aheadChunk)
	_, err := ScanFile(path, FileScan{Lane: 1, Visit: func(Frame) error { return os.Truncate(path, 100) }})
	require.ErrorIs(t, err, io.ErrUnexpectedEOF)
	require.ErrorContains(t, err, "read segment "+path)
}
