package tools

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// TestLogOrderIsThatOfLocations sorts entries as records can have them, and as only
// damage makes them: too near to each other, and twice.
func TestLogOrderIsThatOfLocations(t *testing.T) {
	o := &logOrder{}
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 3))
		from := rng.Int64N(1 << 40)
		size := int64(1) << (5 + rng.IntN(36))
		lo, hi := commitlog.MakeLoc(3, from), commitlog.MakeLoc(3, from+size)
		o.reset(uint64(lo), uint64(hi), 10)
		var want []delayindex.Entry
		for range rng.IntN(2000) {
			e := delayindex.Entry{Loc: uint64(lo) + rng.Uint64N(uint64(size)), When: rng.Uint64()}
			if seed%2 == 0 {
				e.Loc = uint64(lo) + rng.Uint64N(uint64(size))/64*64
			}
			outside := delayindex.Entry{Loc: uint64(hi) + rng.Uint64N(100)}
			o.add([]delayindex.Entry{e, outside, {Loc: uint64(lo) - 1}})
			want = append(want, e)
		}
		slices.SortFunc(want, func(a, b delayindex.Entry) int { return cmp.Or(cmp.Compare(a.Loc, b.Loc), cmp.Compare(a.When, b.When)) })
		o.sort()
		var got []delayindex.Entry
		for e := o.head(); e != nil; e = o.head() {
			got = append(got, *e)
			o.pop()
		}
		require.True(t, slices.IsSortedFunc(got, func(a, b delayindex.Entry) int { return cmp.Compare(a.Loc, b.Loc) }))
		slices.SortFunc(got, func(a, b delayindex.Entry) int { return cmp.Or(cmp.Compare(a.Loc, b.Loc), cmp.Compare(a.When, b.When)) })
		require.Equal(t, len(want), len(got))
		require.Equal(t, want, append([]delayindex.Entry(nil), got...))
	}
}
