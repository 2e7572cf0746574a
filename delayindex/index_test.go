package delayindex

import (
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestEntriesStayVisibleOnTheirWayToARun(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	lane := makeEntries(chunkLen+100, 0, within(2))
	x.Add(lane, endOf(lane))
	requireContent(t, x, lane)
	require.True(t, x.Freeze())
	requireContent(t, x, lane)
	ri, wrote, err := x.Flush(nil)
	require.NoError(t, err)
	requireContent(t, x, lane)
	require.NoError(t, x.Install(ri, wrote))
	requireContent(t, x, lane)
	require.Equal(t, endOf(lane), x.IndexedUpTo())
	require.Equal(t, endOf(lane), x.MemtableStart())
	require.Zero(t, x.MemtableLen())
}

func TestFlushOfNothingButFiredEntriesWritesNoFile(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	lane := makeEntries(100, 0, within(1))
	x.Add(lane, endOf(lane))
	require.True(t, x.Freeze())
	ri, wrote, err := x.Flush(func(*Entry) bool { return false })
	require.NoError(t, err)
	require.False(t, wrote)
	require.Equal(t, RunInfo{End: endOf(lane)}, ri)
	require.NoError(t, x.Install(ri, wrote))
	requireContent(t, x, nil)
	require.Empty(t, fileNames(t, x.dir))
	require.Equal(t, endOf(lane), x.IndexedUpTo())
}

func TestFreezeNeedsLaneBytesNotEntries(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 500)
	require.False(t, x.Freeze())
	x.Add(nil, 500)
	require.False(t, x.Freeze())
	x.Add(nil, 600)
	require.True(t, x.Freeze())
	require.Equal(t, 1, x.Frozen())
	ri, wrote, err := x.Flush(nil)
	require.NoError(t, err)
	require.NoError(t, x.Install(ri, wrote))
	require.Equal(t, int64(600), x.IndexedUpTo())
}

func TestFrozenMemtablesAreFlushedOldestFirst(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	lane := makeEntries(30, 0, within(1))
	for i := 0; i < 30; i += 10 {
		x.Add(lane[i:i+10], endOf(lane[:i+10]))
		require.True(t, x.Freeze())
	}
	for i := 0; i < 30; i += 10 {
		ri, wrote, err := x.Flush(nil)
		require.NoError(t, err)
		require.Equal(t, int64(i*100), ri.Start)
		require.NoError(t, x.Install(ri, wrote))
		requireContent(t, x, lane)
	}
	_, _, err := x.Flush(nil)
	require.ErrorIs(t, err, ErrNothingFrozen)
}

func TestFailedFlushIsRepeated(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "index")
	x := openIndex(t, dir, nil, 0)
	lane := makeEntries(100, 0, within(1))
	x.Add(lane, endOf(lane))
	x.Freeze()
	require.NoError(t, os.RemoveAll(dir))
	_, wrote, err := x.Flush(nil)
	require.Error(t, err)
	require.False(t, wrote)
	requireContent(t, x, lane)

	require.NoError(t, os.Mkdir(dir, 0o755))
	ri, wrote, err := x.Flush(nil)
	require.NoError(t, err)
	require.NoError(t, x.Install(ri, wrote))
	requireContent(t, x, lane)
}

func TestInstallOfAnUnreadableRunChangesNothing(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	lane := makeEntries(100, 0, within(1))
	x.Add(lane, endOf(lane))
	x.Freeze()
	ri, wrote, err := x.Flush(nil)
	require.NoError(t, err)
	require.NoError(t, os.Truncate(x.set.Path(ri), 200))
	var corrupt *CorruptionError
	require.ErrorAs(t, x.Install(ri, wrote), &corrupt)
	requireContent(t, x, lane)
	require.Equal(t, 1, x.Frozen())
}

func TestDroppedRunLivesAsLongAsItsSnapshots(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	lane := makeEntries(3000, 0, within(1))
	ri := addRun(t, x, lane)
	s := x.Snapshot()
	it := s.Iter(0, MaxFireMs)
	require.NoError(t, x.Drop(ri))
	require.Empty(t, x.Runs())
	requireContent(t, x, nil)
	requireEntries(t, selected(lane, 0, MaxFireMs), s.Iter(0, MaxFireMs))
	s.Release()
	s.Release()
	require.NotEmpty(t, fileNames(t, x.dir), "an iterator is still open")
	requireEntries(t, selected(lane, 0, MaxFireMs), it)
	require.Empty(t, fileNames(t, x.dir))
}

func TestUnknownRunsAreRefused(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	require.ErrorIs(t, x.Drop(RunInfo{End: 10}), ErrUnknownRun)
	require.ErrorIs(t, x.Install(RunInfo{End: 10}, true), ErrUnknownRun)
	x.Add(nil, 20)
	x.Freeze()
	require.ErrorIs(t, x.Install(RunInfo{End: 10}, false), ErrUnknownRun)
}

func TestClosedIndexSaysSo(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	lane := makeEntries(100, 0, within(1))
	ri := addRun(t, x, lane[:50])
	x.Add(lane[50:], endOf(lane))
	s := x.Snapshot()
	require.NoError(t, x.Close())
	require.NoError(t, x.Close())

	_, _, err := x.Flush(nil)
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, x.Install(ri, true), ErrClosed)
	require.ErrorIs(t, x.Drop(ri), ErrClosed)
	x.Add(lane, endOf(lane))
	require.False(t, x.Freeze())
	requireContent(t, x, nil)
	requireEntries(t, selected(lane, 0, MaxFireMs), s.Iter(0, MaxFireMs))
	s.Release()
}

func TestOpenRefusesContradictoryRuns(t *testing.T) {
	good := RunInfo{Start: 0, End: 100, Count: 1}
	for name, runs := range map[string][]RunInfo{
		"overlap":                {good, {Start: 99, End: 150, Count: 1}},
		"empty":                  {{Start: 10, End: 10, Count: 1}},
		"negative":               {{Start: -10, End: 10, Count: 1}},
		"beyond what is indexed": {{Start: 100, End: 201, Count: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Open(t.TempDir(), runs, 200, nil)
			require.Error(t, err)
		})
	}
	_, err := Open(t.TempDir(), nil, 0, &Options{MemtableEntries: -1})
	require.Error(t, err)
}

func TestAddRefusesTheOwnersBugs(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	x.Add([]Entry{{Loc: 100}}, 200)
	require.Panics(t, func() { x.Add([]Entry{{Loc: 99}}, 300) })
	require.Panics(t, func() { x.Add(nil, 100) })
}

func TestMemtableTakesAnyRangeOfTimes(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	lane := makeEntries(1<<16+1, 0, within(100))
	lane[0].When, lane[1].When = MakeWhen(0, 0), MakeWhen(MaxFireMs, 0)
	x.Add(lane, endOf(lane))
	requireContent(t, x, lane)
	ri := RunInfo{}
	x.Freeze()
	ri, wrote, err := x.Flush(nil)
	require.NoError(t, err)
	require.NoError(t, x.Install(ri, wrote))
	requireContent(t, x, lane)
}

func TestCountIsCloseWhetherTimesAreDenseOrSparse(t *testing.T) {
	for _, d := range delays {
		t.Run(d.name, func(t *testing.T) {
			x := openIndex(t, t.TempDir(), nil, 0)
			lane := makeEntries(10*blockEntries, 0, d.fire)
			x.Add(lane, endOf(lane))
			s := x.Snapshot()
			defer s.Release()
			ranges := [][2]int64{{0, MaxFireMs}, {baseMs, baseMs + 1}, {baseMs + 30*minuteMs, baseMs + 30*minuteMs + 50}, {baseMs + dayMs, baseMs + 200*dayMs}}
			for _, r := range ranges {
				require.Equal(t, int64(len(selected(lane, r[0], r[1]))), s.Count(r[0], r[1]), "memtables are exact")
			}
			ri, _, err := func() (RunInfo, bool, error) { x.Freeze(); return x.Flush(nil) }()
			require.NoError(t, err)
			require.NoError(t, x.Install(ri, true))
			s = x.Snapshot()
			defer s.Release()
			for _, r := range ranges {
				exact := int64(len(selected(lane, r[0], r[1])))
				require.GreaterOrEqual(t, s.Count(r[0], r[1]), exact)
				require.LessOrEqual(t, s.Count(r[0], r[1]), exact+2*blockEntries)
			}
		})
	}
}

// TestReadersSeeEveryEntryOnceDuringFlushes has a writer, a flusher and readers
// at work. Locs are 0, 1, 2...: a snapshot must hold a complete prefix of them.
func TestReadersSeeEveryEntryOnceDuringFlushes(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	const batches, batchLen = 300, 150
	var added atomic.Int64
	var done atomic.Bool
	var wg sync.WaitGroup
	wg.Go(func() {
		defer done.Store(true)
		for b := range int64(batches) {
			es := makeEntries(batchLen, b, within(1))
			for i := range es {
				es[i].Loc = uint64(b*batchLen) + uint64(i)
			}
			x.Add(es, (b+1)*batchLen)
			added.Store((b + 1) * batchLen)
			if b%20 == 19 {
				x.Freeze()
			}
		}
	})
	wg.Go(func() {
		for !done.Load() || x.Frozen() > 0 {
			ri, wrote, err := x.Flush(nil)
			if err == nil {
				err = x.Install(ri, wrote)
			} else if err == ErrNothingFrozen {
				err = nil
			}
			if err != nil {
				t.Error(err)
				return
			}
		}
	})
	for range 2 {
		wg.Go(func() {
			for !done.Load() {
				least := added.Load()
				s := x.Snapshot()
				got, err := drain(s.Iter(0, MaxFireMs), 1000)
				count := s.Count(0, MaxFireMs)
				s.Release()
				if err != nil || count != int64(len(got)) || int64(len(got)) < least || !completePrefix(got) {
					t.Errorf("snapshot with %d entries after %d were added, count %d: %v", len(got), least, count, err)
					return
				}
			}
		})
	}
	wg.Wait()
	require.Equal(t, int64(batches*batchLen), x.IndexedUpTo())
}

// completePrefix reports whether es are ordered and have the locs 0 to len-1.
func completePrefix(es []Entry) bool {
	seen := make([]bool, len(es))
	for i := range es {
		loc := es[i].Loc
		if loc >= uint64(len(es)) || seen[loc] || (i > 0 && Compare(&es[i-1], &es[i]) >= 0) {
			return false
		}
		seen[loc] = true
	}
	return true
}

func TestAddAllocatesPerChunkOnly(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	es := makeEntries(100, 0, within(1))
	end := int64(0)
	allocs := testing.AllocsPerRun(1000, func() {
		end += 100
		for i := range es {
			es[i].Loc = uint64(end)
		}
		x.Add(es, end)
	})
	require.LessOrEqual(t, allocs, 1.0)
}
