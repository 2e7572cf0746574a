package commitlog

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func FuzzFrameHeader(f *testing.F) {
	f.Add(goldenFrame(), uint64(MakeLoc(2, 4096)))
	f.Add(make([]byte, FrameHeaderSize), uint64(0))
	f.Fuzz(func(t *testing.T, b []byte, loc uint64) {
		if len(b) < FrameHeaderSize {
			return
		}
		h, err := parseFrameHeader(b)
		if err != nil || h.placed(Loc(loc), int64(len(b))) != nil {
			return
		}
		b = b[:FrameHeaderSize+int(h.size)]
		if h.verify(b) != nil {
			return
		}
		again := append([]byte(nil), b...)
		h.encode(again)
		require.Equal(t, b, again, "what verifies is what encode writes")
	})
}

func FuzzItems(f *testing.F) {
	f.Add(goldenFrame()[FrameHeaderSize:], 2)
	f.Add([]byte{255, 255, 255, 255}, 60_000)
	f.Fuzz(func(t *testing.T, payload []byte, records int) {
		used, n := 0, 0
		for it, p := range (Frame{Payload: payload, Records: min(max(records, 0), maxFrameRecords)}).Items() {
			require.Len(t, p, int(it.Size))
			used += RecordHeaderSize + len(p)
			require.LessOrEqual(t, used, len(payload))
			require.EqualValues(t, used-len(p)+FrameHeaderSize, it.Loc)
			n++
		}
		require.LessOrEqual(t, n, max(records, 0))
	})
}

// FuzzOpen puts arbitrary bytes into a segment file. Whatever they are, the lane
// opens, takes appends, and comes back with the same records and the new one.
func FuzzOpen(f *testing.F) {
	fixture, err := os.ReadFile(filepath.Join("testdata", "lane-v1", "00000000000000000000"))
	require.NoError(f, err)
	f.Add(fixture, int64(0))
	f.Add(fixture[:100], int64(50))
	f.Add(frameBytes(0, 5, "a", "b"), int64(0))
	f.Add(append(make([]byte, 64), frameBytes(64, 5, "behind a hole")...), int64(0))
	f.Add(append(frameBytes(0, 9, "x"), frameBytes(57, 5, "stale")...), int64(57))
	f.Add(edited(frameBytes(0, 5, "newer"), func(b []byte) { b[3] = 9 }), int64(0))
	f.Fuzz(func(t *testing.T, data []byte, from int64) {
		if len(data) > 4096 {
			return
		}
		from = min(max(from, 0), 4096)
		ln := newLane(t, Options{})
		require.NoError(t, os.MkdirAll(ln.dir, 0o755))
		require.NoError(t, os.WriteFile(ln.path(0), data, 0o644))
		ln.own.segs = []SegmentInfo{{Base: 0}}
		first := new(seen)
		l, _, err := Open(ln.dir, ln.own.segs, from, first.visit, &ln.o)
		if err != nil {
			require.ErrorIs(t, err, ErrVersion)
			return
		}
		loc := put(t, l, "new")[0]
		require.NoError(t, l.Close())
		again := new(seen)
		l, _, err = Open(ln.dir, ln.own.registered(), from, again.visit, &ln.o)
		require.NoError(t, err)
		require.NoError(t, l.Close())
		require.Equal(t, append(first.locs, loc), again.locs)
		require.Equal(t, append(first.payloads, "new"), again.payloads)
	})
}

// edited changes a frame and makes its checksum right again.
func edited(b []byte, edit func([]byte)) []byte {
	edit(b)
	resum(b)
	return b
}
