package commitlog

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// aroundFile writes a segment of frames of many sizes, full of magics, and returns the
// bounds of its frames.
func aroundFile(t *testing.T) (path string, b []byte, bounds []int64) {
	rng := rand.New(rand.NewPCG(1, 2))
	const base = 1 << 20
	for i := range 40 {
		payload := bytes.Repeat([]byte("xDLFDLDL\x01"), 1+rng.IntN([]int{4, 400, 40000}[i%3]))
		bounds = append(bounds, base+int64(len(b)))
		loc := MakeLoc(1, base+int64(len(b)))
		if i%2 == 0 {
			b = AppendRawFrame(b, loc, 5, 1, payload)
		} else {
			b = AppendFrame(b, loc, 5, Record{Payload: payload}, Record{Payload: payload[:3]})
		}
	}
	bounds = append(bounds, base+int64(len(b)))
	path = filepath.Join(t.TempDir(), "00000000000001048576")
	require.NoError(t, os.WriteFile(path, append(b, make([]byte, 5000)...), 0o644))
	return path, b, bounds
}

func TestFrameAroundIsTheFrameOfEachPlaceInIt(t *testing.T) {
	path, _, bounds := aroundFile(t)
	rng := rand.New(rand.NewPCG(3, 4))
	for i, from := range bounds[:len(bounds)-1] {
		to := bounds[i+1]
		for _, at := range []int64{from + 1, from + 2, from + FrameHeaderSize, from + rng.Int64N(to-from-1) + 1, to - 1} {
			f, ok, err := FrameAround(path, 1, 1<<20, at)
			require.NoError(t, err)
			require.True(t, ok, "%d in %d..%d", at, from, to)
			require.Equal(t, MakeLoc(1, from), f.Loc)
			require.Equal(t, to, f.End)
		}
	}
	for _, at := range []int64{0, 1<<20 - 1, 1 << 20, bounds[len(bounds)-1], bounds[len(bounds)-1] + 4000, 1 << 40} {
		_, ok, err := FrameAround(path, 1, 1<<20, at)
		require.NoError(t, err)
		require.False(t, ok, at)
	}
	_, ok, err := FrameAround(path, 2, 1<<20, bounds[3]+1)
	require.NoError(t, err)
	require.False(t, ok, "of another lane")
}

func TestFrameAroundIsNotFoundWhereAByteIsWrong(t *testing.T) {
	path, b, bounds := aroundFile(t)
	rng := rand.New(rand.NewPCG(5, 6))
	for i, from := range bounds[:len(bounds)-1] {
		size := bounds[i+1] - from
		bad := bytes.Clone(b)
		bad[from-1<<20+rng.Int64N(size)] ^= 1 << rng.IntN(8)
		require.NoError(t, os.WriteFile(path, bad, 0o644))
		_, ok, err := FrameAround(path, 1, 1<<20, from+FrameHeaderSize+1)
		require.NoError(t, err)
		require.False(t, ok)
		if next := i + 1; next+1 < len(bounds) {
			_, ok, err = FrameAround(path, 1, 1<<20, bounds[next]+FrameHeaderSize+1)
			require.NoError(t, err)
			require.True(t, ok, "the one behind it is good")
		}
	}
}

// FuzzFrameAround looks into arbitrary bytes.
func FuzzFrameAround(f *testing.F) {
	good := AppendFrame(nil, MakeLoc(1, 0), 5, Record{Payload: []byte("payload")})
	f.Add(good, int64(40))
	f.Add(good[:40], int64(39))
	f.Add([]byte("DLF"), int64(2))
	f.Fuzz(func(t *testing.T, b []byte, at int64) {
		path := filepath.Join(t.TempDir(), "00000000000000000000")
		require.NoError(t, os.WriteFile(path, b, 0o644))
		if fr, ok, err := FrameAround(path, 1, 0, at); ok {
			require.NoError(t, err)
			require.LessOrEqual(t, fr.Loc.Offset(), at)
			require.Greater(t, fr.End, at)
		}
	})
}
