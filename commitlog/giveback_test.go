package commitlog

import (
	"errors"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestMergeRangeKeepsRangesAscendingAndApart(t *testing.T) {
	var rs []Range
	for _, r := range []Range{{10, 20}, {40, 50}, {0, 5}, {20, 30}, {35, 40}, {60, 70}} {
		rs = MergeRange(rs, r)
	}
	require.Equal(t, []Range{{0, 5}, {10, 30}, {35, 50}, {60, 70}}, rs)
	require.Equal(t, []Range{{0, 5}, {10, 65}, {80, 90}}, MergeRange([]Range{{0, 5}, {10, 30}, {35, 50}, {80, 90}}, Range{30, 65}))
	for off, want := range map[int64]bool{4: true, 5: false, 9: false, 10: true, 29: true, 30: false, 34: false, 69: true, 70: false} {
		require.Equal(t, want, overlaps(rs, off, off+1), off)
	}
	require.True(t, overlaps(rs, 5, 11))
	require.False(t, overlaps(rs, 5, 10))
}

func TestGivenBackRangesAreGoneAndNotDamage(t *testing.T) {
	ln := newLane(t, Options{SegmentSize: 1 << 20})
	l, _ := ln.open()
	body := strings.Repeat("x", 10_000)
	var locs []Loc
	for range 60 {
		locs = append(locs, put(t, l, body)...)
	}
	path := l.chain.Path(0)
	before := blocks(t, path)
	gone := []Range{{GiveBackUnit, 3 * GiveBackUnit}, {5 * GiveBackUnit, 6 * GiveBackUnit}}
	require.NoError(t, l.GiveBack(gone...))
	require.NoError(t, l.GiveBack(gone...), "again")

	check := func(l *Log) (intact int) {
		for _, loc := range locs {
			v, err := l.View(loc, int32(len(body)))
			if overlaps(gone, loc.Offset(), loc.Offset()+int64(len(body))) {
				require.ErrorIs(t, err, ErrNotFound)
				continue
			}
			require.NoError(t, err)
			require.Equal(t, body, string(v.Bytes()))
			v.Release()
			intact++
		}
		return intact
	}
	intact := check(l)
	require.Less(t, intact, 60)
	require.Greater(t, intact, 30)
	frames := 0
	require.NoError(t, l.Scan(0, l.Tail(), func(Frame) error { frames++; return nil }))
	require.Less(t, before-blocks(t, path), int64(4*GiveBackUnit))
	require.NoError(t, l.Close())

	ln.o.GivenBack = gone
	l, s := ln.open()
	require.Empty(t, s.stats.Damaged)
	require.Equal(t, frames, len(s.payloads))
	require.Equal(t, intact, check(l))
	if holes(t) {
		require.Equal(t, before-3*GiveBackUnit, blocks(t, path), "opening the segment for writing does not take the space again")
	}
	locs = append(locs, put(t, l, body)...)
	require.Equal(t, intact+1, check(l))
	require.NoError(t, l.Close())

	ln.o.GivenBack = nil
	_, s = ln.open()
	require.NotEmpty(t, s.stats.Damaged, "what nobody registered is damage")
}

func TestOnlyWholeUnitsOfOneSegmentBeforeTheTailAreGivenBack(t *testing.T) {
	ln := newLane(t, Options{SegmentSize: 2 * GiveBackUnit})
	l, _ := ln.open()
	for range 30 {
		put(t, l, strings.Repeat("x", 10_000))
	}
	for _, r := range []Range{{0, 0}, {1, GiveBackUnit}, {0, GiveBackUnit + 4096}, {GiveBackUnit, 3 * GiveBackUnit}, {-GiveBackUnit, GiveBackUnit}, {4 * GiveBackUnit, 5 * GiveBackUnit}} {
		require.ErrorIs(t, l.GiveBack(r), ErrRange, "%v", r)
	}
	require.NoError(t, l.Remove(0))
	require.NoError(t, l.GiveBack(Range{0, GiveBackUnit}), "the segment is gone: nothing to do")
	require.NoError(t, l.Close())
	require.ErrorIs(t, l.GiveBack(Range{2 * GiveBackUnit, 3 * GiveBackUnit}), ErrClosed)
}

func TestRollIfAsksAboutTheSegmentThatIsWritten(t *testing.T) {
	ln := newLane(t, Options{})
	l, _ := ln.open()
	asked := 0
	wanted := func(info SegmentInfo) bool { asked++; return info.Records == 2 }
	require.NoError(t, l.RollIf(wanted), "there is none")
	put(t, l, "a")
	require.NoError(t, l.RollIf(wanted))
	require.False(t, l.Segments()[0].Sealed)
	put(t, l, "b")
	require.NoError(t, l.RollIf(wanted))
	require.True(t, l.Segments()[0].Sealed)
	require.NoError(t, l.RollIf(wanted))
	require.Equal(t, 2, asked)
	require.Equal(t, "c", content(t, l, put(t, l, "c")[0], 1))
}

// blocks is what a file takes on disk, in bytes.
func blocks(t *testing.T, path string) int64 {
	t.Helper()
	var st syscall.Stat_t
	require.NoError(t, syscall.Stat(path, &st))
	return st.Blocks * 512
}

// holes tells whether files of this test may have them.
func holes(t *testing.T) bool {
	t.Helper()
	f, err := os.Create(t.TempDir() + "/f")
	require.NoError(t, err)
	require.NoError(t, f.Truncate(1<<20))
	require.NoError(t, errors.Join(f.Sync(), f.Close()))
	return blocks(t, f.Name()) == 0
}
