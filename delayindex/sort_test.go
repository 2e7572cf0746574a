package delayindex

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSortOrdersByFireTimeThenLoc(t *testing.T) {
	for _, d := range delays {
		for _, n := range []int{0, 1, 2, fewEntries, fewKeys - 1, fewKeys, 5000, yieldEvery + 1} {
			es := makeEntries(n, 0, d.fire)
			want := selected(es, 0, MaxFireMs+1)
			Sort(es, make([]Entry, n))
			require.True(t, slices.Equal(want, es), "%s, %d entries", d.name, n)
		}
	}
}

func TestSortTakesAnyRangeOfTimes(t *testing.T) {
	// 2^17 positions and times over all 48 bits do not fit one key.
	es := makeEntries(1<<17, 0, func(r *rand.Rand, _ int) int64 { return r.Int64N(MaxFireMs + 1) })
	want := selected(es, 0, MaxFireMs+1)
	Sort(es, nil)
	require.True(t, slices.Equal(want, es))
}

func TestSortKeepsTheOrderOfEqualTimes(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		spread := rapid.Uint64Range(1, 1<<40).Draw(t, "spread")
		times := rapid.SliceOfN(rapid.Uint64Range(0, spread), 0, 600).Draw(t, "times")
		es := make([]Entry, len(times))
		for i, ms := range times {
			es[i] = Entry{When: MakeWhen(int64(ms), 0), Size: uint32(i)}
		}
		want := slices.Clone(es)
		slices.SortStableFunc(want, byFire)
		Sort(es, make([]Entry, len(es)))
		require.Equal(t, want, es)
	})
}

func TestMakeWhenKeepsTimesInRange(t *testing.T) {
	for ms, want := range map[int64]int64{-1: 0, 0: 0, baseMs: baseMs, MaxFireMs: MaxFireMs, MaxFireMs + 1: MaxFireMs} {
		e := Entry{When: MakeWhen(ms, 0xabcd)}
		require.Equal(t, want, e.FireMs())
		require.Equal(t, uint16(0xabcd), e.Flags())
	}
}

func TestCompareIgnoresFlags(t *testing.T) {
	a := Entry{When: MakeWhen(5, FlagTombstone), Loc: 1}
	b := Entry{When: MakeWhen(5, 0), Loc: 2}
	require.Negative(t, Compare(&a, &b))
	require.Positive(t, Compare(&b, &a))
	require.Zero(t, Compare(&a, &a))
}
