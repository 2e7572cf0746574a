package delayindex

import (
	"errors"
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// threeRuns returns an index with three runs and all their entries.
func threeRuns(t testing.TB, dir string) (*Index, []RunInfo, []Entry) {
	t.Helper()
	x := openIndex(t, dir, nil, 0)
	var all []Entry
	var infos []RunInfo
	for i := range 3 {
		first := int64(0)
		if i > 0 {
			first = infos[i-1].End
		}
		es := makeEntries(3000+i, first, within(100))
		infos = append(infos, addRun(t, x, es))
		all = append(all, es...)
	}
	return x, infos, all
}

func mergeRuns(t testing.TB, x *Index, olds []RunInfo) *Replacement {
	t.Helper()
	s := x.Snapshot()
	defer s.Release()
	atMost := int64(0)
	for _, ri := range olds {
		atMost += ri.Count
	}
	start, end := olds[0].Start, olds[len(olds)-1].End
	within := func(ri *RunInfo) bool { return ri.Start >= start && ri.End <= end }
	w, err := x.Rewrite(s.IterRuns(0, MaxFireMs+1, within), start, end, atMost+10)
	require.NoError(t, err)
	return w
}

func TestReplaceSwapsRunsForTheirMergeInOneStep(t *testing.T) {
	dir := t.TempDir()
	x, infos, all := threeRuns(t, dir)
	w := mergeRuns(t, x, infos[:2])
	require.Equal(t, infos[0].Count+infos[1].Count, w.Info.Count)
	requireContent(t, x, all) // before

	before := x.Snapshot()
	done, err := x.Replace(infos[:2], []*Replacement{w})
	require.NoError(t, err)
	require.NoError(t, done())
	requireContent(t, x, all)
	require.Equal(t, []RunInfo{w.Info, infos[2]}, x.Runs())
	requireEntries(t, selected(all, 0, MaxFireMs+1), before.Iter(0, MaxFireMs+1))
	require.Len(t, fileNames(t, dir), 4, "the snapshot keeps the old files")
	before.Release()
	require.Len(t, fileNames(t, dir), 2)

	again := openIndex(t, dir, x.Runs(), infos[2].End)
	requireContent(t, again, all)
}

func TestReplacementThatIsNotRegisteredIsDeletedByOpen(t *testing.T) {
	dir := t.TempDir()
	x, infos, all := threeRuns(t, dir)
	w := mergeRuns(t, x, infos)
	require.NoError(t, w.Discard())
	require.Len(t, fileNames(t, dir), 4)
	again := openIndex(t, dir, infos, infos[2].End)
	require.Len(t, fileNames(t, dir), 3)
	requireContent(t, again, all)
}

func TestRewriteOfATakenOrEmptyRangeIsRefused(t *testing.T) {
	x, infos, _ := threeRuns(t, t.TempDir())
	for _, r := range [][2]int64{{infos[1].Start, infos[1].End}, {5, 5}, {-1, 5}} {
		_, err := x.Rewrite(emptyIterator{}, r[0], r[1], 0)
		require.ErrorIs(t, err, ErrUnknownRun)
	}
	_, err := x.Replace([]RunInfo{{Start: 1, End: 2}}, nil)
	require.ErrorIs(t, err, ErrUnknownRun)
}

func TestRewriteWithoutEntriesLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	x, infos, _ := threeRuns(t, dir)
	w, err := x.Rewrite(emptyIterator{}, infos[0].Start, infos[2].End, 1000)
	require.NoError(t, err)
	require.Zero(t, w.Info.Count)
	done, err := x.Replace(infos, []*Replacement{w})
	require.NoError(t, err)
	require.NoError(t, done())
	requireContent(t, x, nil)
	require.Empty(t, fileNames(t, dir))
}

// failing yields some entries and then an error.
type failing struct{ left int }

var errSource = errors.New("source failed")

func (f *failing) Next(dst []Entry) (int, error) {
	if f.left == 0 {
		return 0, errSource
	}
	n := min(f.left, len(dst))
	f.left -= n
	clear(dst[:n])
	return n, nil
}

func (f *failing) Close() {}

func TestRewriteThatFailsLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	x := openIndex(t, dir, nil, 0)
	_, err := x.Rewrite(&failing{left: 5000}, 0, 100, 10000)
	require.ErrorIs(t, err, errSource)
	require.Empty(t, fileNames(t, dir))
}

func TestCutHidesWhatFiresLater(t *testing.T) {
	dir := t.TempDir()
	x, infos, all := threeRuns(t, dir)
	cut := baseMs + 40*hourMs + 123
	w, err := x.Cut(infos[1], cut)
	require.NoError(t, err)
	var want []Entry
	for _, e := range all {
		inCut := int64(e.Loc) >= infos[1].Start && int64(e.Loc) < infos[1].End
		if !inCut || e.FireMs() < cut {
			want = append(want, e)
		}
	}
	done, err := x.Replace(infos[1:2], []*Replacement{w})
	require.NoError(t, err)
	require.NoError(t, done())
	requireContent(t, x, want)
	require.Len(t, fileNames(t, dir), 3, "the file is the same")

	r := rand.New(rand.NewPCG(1, 2))
	s := x.Snapshot()
	for range 50 {
		from := baseMs + r.Int64N(100*hourMs)
		to := from + r.Int64N(100*hourMs)
		n, err := s.CountExact(from, to)
		require.NoError(t, err)
		require.EqualValues(t, len(selected(want, from, to)), n)
		require.GreaterOrEqual(t, s.Count(from, to), n)
		requireEntries(t, selected(want, from, to), s.Iter(from, to))
	}
	counts := make([]int64, 110)
	require.NoError(t, s.Histogram(baseMs, hourMs, 0, counts))
	for i, n := range counts {
		from := baseMs + int64(i)*hourMs
		require.EqualValues(t, len(selected(want, from, from+hourMs)), n, "hour %d", i)
	}
	s.Release()
	again := openIndex(t, dir, x.Runs(), infos[2].End)
	requireContent(t, again, want)
	require.NoError(t, x.Drop(x.Runs()[1]))
	_, err = os.Stat(x.set.Path(infos[1]))
	require.Error(t, err)
}

func TestCutBeforeTheFirstEntryHidesAll(t *testing.T) {
	x, infos, _ := threeRuns(t, t.TempDir())
	w, err := x.Cut(infos[0], infos[0].MinFireMs)
	require.NoError(t, err)
	done, err := x.Replace(infos, []*Replacement{w})
	require.NoError(t, err)
	require.NoError(t, done())
	requireContent(t, x, nil)
}
