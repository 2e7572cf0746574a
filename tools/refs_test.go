package tools

import (
	"cmp"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
)

func randomRefs(n int) []ref {
	rng := rand.New(rand.NewPCG(1, 2))
	refs := make([]ref, n)
	for i := range refs {
		refs[i] = ref{
			loc: commitlog.Loc(rng.Uint64N(1000)), slot: rng.Int64N(100), ms: rng.Int64(), queue: rng.Uint32N(5),
			size: rng.Uint32(), tag: rng.Uint32(), kind: refKind(1 + rng.IntN(3)),
		}
	}
	return refs
}

func sorterOf(t *testing.T, refs []ref, most int, compare func(a, b *ref) int) *refSorter {
	s := newRefSorter(t.TempDir(), compare)
	s.most = most
	for _, r := range refs {
		require.NoError(t, s.add(r))
	}
	t.Cleanup(s.close)
	return s
}

func TestSorterSortsMoreThanItKeepsInMemory(t *testing.T) {
	t.Parallel()
	refs := randomRefs(5000)
	for _, most := range []int{1, 100, 4999, 1 << 20} {
		if most == 1 {
			refs = refs[:200] // a file each
		}
		var got []ref
		require.NoError(t, sorterOf(t, refs, most, bySlot).each(func(r *ref) error { got = append(got, *r); return nil }))
		require.Len(t, got, len(refs))
		require.True(t, slices.IsSortedFunc(got, func(a, b ref) int { return bySlot(&a, &b) }))
		require.Equal(t, inOrder(refs), inOrder(got))
		refs = randomRefs(5000)
	}
}

// inOrder is refs in an order that depends on all their fields.
func inOrder(refs []ref) []ref {
	out := slices.Clone(refs)
	slices.SortFunc(out, func(a, b ref) int {
		return cmp.Or(bySlot(&a, &b), cmp.Compare(a.ms, b.ms), cmp.Compare(a.size, b.size), cmp.Compare(a.tag, b.tag))
	})
	return out
}

func TestTableIsEnteredAnywhere(t *testing.T) {
	refs := randomRefs(5000)
	for _, most := range []int{700, 1 << 20} {
		table, err := sorterOf(t, refs, most, byLoc).table()
		require.NoError(t, err)
		for _, loc := range []commitlog.Loc{0, 1, 500, 999, 2000} {
			c, err := table.from(loc)
			require.NoError(t, err)
			n := 0
			require.NoError(t, c.before(loc+100, func(r *ref) {
				require.GreaterOrEqual(t, r.loc, loc)
				n++
			}))
			want := 0
			for _, r := range refs {
				if r.loc >= loc && r.loc < loc+100 {
					want++
				}
			}
			require.Equal(t, want, n)
		}
		table.close()
	}
}
