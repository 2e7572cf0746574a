package keyindex

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFindGivesWhatWasAddedNewestFirst(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	all := makeEntries(3*chunkLen+77, 0, 0)
	for i := range all {
		if i%100 == 0 {
			all[i].Hash = 5
		}
	}
	third := len(all) / 3
	addRun(t, x, all[:third])
	x.Add(all[third:2*third], endOf(all[:2*third]))
	require.True(t, x.Freeze())
	x.Add(all[2*third:], endOf(all))
	require.Equal(t, wanted(all, 5), find(t, x, 5))
	for _, e := range all[:100] {
		require.Equal(t, wanted(all, e.Hash), find(t, x, e.Hash))
	}
	require.Empty(t, find(t, x, 6))
	require.Equal(t, int64(len(all)-third), x.InMemory())
}

func TestFindStopsWhenToldSo(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	all := makeEntries(4*blockEntries, 0, 1)
	addRun(t, x, all[:2*blockEntries])
	x.Add(all[2*blockEntries:], endOf(all))
	for _, limit := range []int{1, 2*blockEntries - 1, 2 * blockEntries, 3 * blockEntries} {
		n := 0
		require.NoError(t, x.Find(all[0].Hash, func(uint64) bool { n++; return n < limit }))
		require.Equal(t, limit, n)
	}
}

func TestSortIsByHashThenLocWhateverTheHashes(t *testing.T) {
	for name, es := range map[string][]Entry{
		"few":                makeEntries(100, 0, 0),
		"spread":             makeEntries(50_000, 0, 0),
		"one digit":          makeEntries(3_000, 0, 0),
		"one hash":           makeEntries(20_000, 0, 1),
		"few hashes":         makeEntries(20_000, 0, 5),
		"chosen to collide":  lowBits(20_000),
		"out of order":       shuffled(makeEntries(20_000, 0, 5)),
		"nothing":            {},
		"two, out of order":  {{Hash: 2}, {Hash: 1}},
		"equal upper digits": {{Hash: 1 << 63, Loc: 2}, {Hash: 1 << 63, Loc: 1}},
	} {
		want := slices.Clone(es)
		slices.SortFunc(want, compare)
		require.Equal(t, want, sortEntries(es, make([]Entry, len(es)), 0), name)
	}
}

func TestAMemtableIsReadInOrderWindowByWindow(t *testing.T) {
	for name, es := range map[string][]Entry{
		"spread":            makeEntries(5*windowEntries/2, 0, 0),
		"one hash":          makeEntries(windowEntries, 0, 1),
		"chosen to collide": lowBits(windowEntries),
		"one window":        makeEntries(windowEntries-1, 0, 0),
		"a window less":     withoutWindow(makeEntries(5*windowEntries/2, 0, 0)),
	} {
		m := newMemtable(0)
		m.add(es, endOf(es))
		view := m.acquire()
		got, src := make([]Entry, len(es)+1), newMemSource(&view)
		n, err := src.next(got)
		require.NoError(t, err)
		slices.SortFunc(es, compare)
		require.True(t, slices.Equal(es, got[:n]), name)
	}
}

// withoutWindow leaves only hashes in the first eighth of each half of all.
func withoutWindow(es []Entry) []Entry {
	for i := range es {
		es[i].Hash &= 1<<61 - 1
		es[i].Hash |= uint64(i%2) << 63
	}
	return es
}

// lowBits returns hashes that differ only where the digits do not look.
func lowBits(n int) []Entry {
	es := makeEntries(n, 0, 0)
	for i := range es {
		es[i].Hash &= 1<<30 - 1
	}
	return es
}

func shuffled(es []Entry) []Entry {
	rand.New(rand.NewPCG(1, 2)).Shuffle(len(es), func(i, j int) { es[i], es[j] = es[j], es[i] })
	return es
}

func TestMergedRunHasAllThatIsKept(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	all := makeEntries(40*blockEntries, 0, 13)
	var old []RunInfo
	for i := range 5 {
		old = append(old, addRun(t, x, all[i*8*blockEntries:(i+1)*8*blockEntries]))
	}
	bound := all[10*blockEntries].Loc
	ri, wrote := mergeAll(t, x, old[:4], func(loc uint64) bool { return loc >= bound })
	require.True(t, wrote)
	require.Equal(t, RunInfo{Start: 0, End: old[3].End, Count: 22 * blockEntries}, ri)
	require.Equal(t, []RunInfo{ri, old[4]}, x.Runs())
	require.Equal(t, []string{RunName(ri), RunName(old[4])}, fileNames(t, x.dir))
	requireContent(t, x, all[10*blockEntries:])

	ri, wrote = mergeAll(t, x, x.Runs(), func(uint64) bool { return false })
	require.False(t, wrote)
	require.Zero(t, ri.Count)
	require.Empty(t, fileNames(t, x.dir))
}

func TestMergeThatIsStoppedLeavesNothing(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	all := makeEntries(2000, 0, 0)
	old := []RunInfo{addRun(t, x, all[:1000]), addRun(t, x, all[1000:])}
	asked := 0
	_, _, err := x.Merge(old, nil, func() bool { asked++; return asked > 2 })
	require.ErrorIs(t, err, ErrStopped)
	require.Len(t, fileNames(t, x.dir), 2)
	_, _, err = x.Merge([]RunInfo{old[1], old[0]}, nil, nil)
	require.ErrorIs(t, err, ErrUnknownRun, "not neighbours in lane order")
	requireContent(t, x, all[:50])
}

func TestPlanKeepsRunsFew(t *testing.T) {
	for _, each := range []int64{1, 100, 460_000, 2 << 20} {
		t.Run(fmt.Sprint(each), func(t *testing.T) {
			var runs []RunInfo
			written, total := int64(0), int64(0)
			for total < min(each*100_000, 1e9) {
				runs = append(runs, RunInfo{Start: total, End: total + each, Count: each})
				total += each
				written += each
				for old := plan(runs); old != nil; old = plan(runs) {
					at := slices.Index(runs, old[0])
					merged := RunInfo{Start: old[0].Start, End: old[len(old)-1].End}
					for _, ri := range old {
						merged.Count += ri.Count
					}
					require.LessOrEqual(t, merged.Count, int64(maxMerged))
					written += merged.Count
					runs = slices.Replace(slices.Clone(runs), at, at+len(old), merged)
				}
			}
			require.LessOrEqual(t, len(runs), 75, "runs of a lane")
			require.LessOrEqual(t, float64(written)/float64(total), 5.0, "times that an entry is written")
		})
	}
}

func TestPlanSwallowsSmallRunsBetweenLargeOnes(t *testing.T) {
	runs := []RunInfo{{Count: 5_000_000}, {Count: 2}}
	for range fanIn {
		runs = append(runs, RunInfo{Count: 1000}, RunInfo{Count: 3})
	}
	require.Nil(t, plan(runs[:len(runs)-2]))
	require.Equal(t, runs[2:len(runs)-1], planClass(runs, class(1000)))
	require.Equal(t, runs[2:len(runs)-1], plan(runs[:len(runs)-1]))
	require.Nil(t, plan(nil))
}

func TestReadersAreNotDisturbed(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	all := makeEntries(40_000, 0, 3)
	var wg sync.WaitGroup
	stop := make(chan struct{})
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				last := ^uint64(0)
				require.NoError(t, x.Find(all[0].Hash, func(loc uint64) bool {
					require.Less(t, loc, last)
					last = loc
					return true
				}))
			}
		})
	}
	for i := 0; i < len(all); i += 1000 {
		addRun(t, x, all[i:i+1000])
		if old := x.MergePlan(); old != nil {
			mergeAll(t, x, old, nil)
		}
	}
	close(stop)
	wg.Wait()
	require.Equal(t, wanted(all, all[0].Hash), find(t, x, all[0].Hash))
}

func TestClosedIndexFindsNothing(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	es := makeEntries(10, 0, 1)
	ri := addRun(t, x, es)
	require.NoError(t, x.Close())
	x.Add(es, endOf(es)+1000)
	require.False(t, x.Freeze())
	require.Empty(t, find(t, x, es[0].Hash))
	_, _, err := x.Flush()
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, x.Install(ri, true), ErrClosed)
	require.ErrorIs(t, x.Drop(ri), ErrClosed)
	_, _, err = x.Merge([]RunInfo{ri}, nil, nil)
	require.ErrorIs(t, err, ErrClosed)
}

func TestOpenRefusesWhatCannotBeOneIndex(t *testing.T) {
	dir := t.TempDir()
	for _, runs := range [][]RunInfo{
		{{Start: 0, End: 10, Count: 1}, {Start: 5, End: 20, Count: 1}},
		{{Start: 0, End: 200, Count: 1}},
		{{Start: -1, End: 10, Count: 1}},
		{{Start: 10, End: 10, Count: 1}},
	} {
		_, _, err := Open(dir, runs, 100, nil)
		require.Error(t, err, "%v", runs)
	}
	_, _, err := Open(dir, nil, 0, &Options{MemtableEntries: -1})
	require.Error(t, err)
}
