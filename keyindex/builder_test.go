package keyindex

import (
	"os"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/durable"
)

// build hands es to a builder, message by message.
func build(t testing.TB, x *Index, es []Entry, start, end int64) (*Builder, []RunInfo) {
	t.Helper()
	b := x.NewBuilder(start)
	for i := range es {
		require.NoError(t, b.Add(es[i:i+1], int64(es[i].Loc)))
	}
	infos, err := b.Finish(end)
	require.NoError(t, err)
	return b, infos
}

func TestWhatIsBuiltIsFoundWhenItIsInsertedAndNotBefore(t *testing.T) {
	dir := t.TempDir()
	x := openIndex(t, dir, nil, 0)
	x.opts.MemtableEntries = 1000
	own := makeEntries(100, 0, 3)
	first := addRun(t, x, own)
	start := first.End + 5000
	fresh := makeEntries(3500, start+30, 3)
	b, infos := build(t, x, fresh, start, start+1_000_000)
	require.Len(t, infos, 4)
	require.Equal(t, start, infos[0].Start)
	require.Equal(t, start+1_000_000, infos[3].End)
	for i, ri := range infos {
		require.True(t, i == 0 || ri.Start == infos[i-1].End)
		for _, e := range fresh[1000*i : min(1000*(i+1), len(fresh))] {
			require.True(t, ri.Start <= int64(e.Loc) && int64(e.Loc) < ri.End)
		}
	}
	requireContent(t, x, own)
	require.NoError(t, x.Insert(b, start+2_000_000))
	all := append(own, fresh...)
	requireContent(t, x, all)
	require.EqualValues(t, start+2_000_000, x.IndexedUpTo())
	require.Equal(t, append([]RunInfo{first}, infos...), x.Runs())
	require.Zero(t, x.InMemory())
	require.False(t, x.Freeze())
	require.NoError(t, x.Close())

	x = openIndex(t, dir, append(infos, first), start+2_000_000)
	requireContent(t, x, all)
	more := makeEntries(100, start+2_000_000, 3)
	addRun(t, x, more)
	requireContent(t, x, append(all, more...))
}

func TestRunsThatAreDiscardedLeaveNothing(t *testing.T) {
	dir := t.TempDir()
	x := openIndex(t, dir, nil, 0)
	x.opts.MemtableEntries = 10
	for range 2 { // the names are free again
		b, infos := build(t, x, makeEntries(95, 0, 0), 0, 10_000)
		require.Len(t, infos, 10)
		require.Len(t, fileNames(t, dir), 10)
		require.NoError(t, b.Discard())
		require.Empty(t, fileNames(t, dir))
	}
	b, infos := build(t, x, makeEntries(15, 0, 0), 0, 10_000)
	require.NoError(t, b.Close())
	require.Len(t, fileNames(t, dir), len(infos), "they may be registered")
	b, infos = build(t, x, nil, 0, 10_000)
	require.Empty(t, infos)
	require.NoError(t, x.Insert(b, 10_000))
	require.EqualValues(t, 10_000, x.IndexedUpTo())
}

// TestInsertRefusesWhatWouldOverlap: the next Open would not take it.
func TestInsertRefusesWhatWouldOverlap(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	es := makeEntries(10, 0, 0)
	addRun(t, x, es)
	b, _ := build(t, x, makeEntries(10, 500, 0), 500, 2000)
	require.ErrorContains(t, x.Insert(b, 2000), "the index reaches up to 1000")
	require.NoError(t, b.Discard())
	b, _ = build(t, x, makeEntries(10, 5000, 0), 5000, 7000)
	x.Add(makeEntries(5, 1000, 0), 1500)
	require.ErrorContains(t, x.Insert(b, 7000), "memtable")
	require.NoError(t, b.Discard())
	requireContent(t, x, es)
	b, _ = build(t, x, makeEntries(10, 5000, 0), 5000, 7000)
	require.NoError(t, x.Close())
	require.ErrorIs(t, x.Insert(b, 7000), ErrClosed)
	require.NoError(t, b.Discard())
}

// fullDisk has no space for another file.
type fullDisk struct{}

// Do implements durable.Observer.
func (fullDisk) Do(op durable.Op, _ *os.File, _, _ string, run func() error) error {
	if op == durable.OpCreate || op == durable.OpAllocate {
		return syscall.ENOSPC
	}
	return run()
}

// TestBuilderThatFindsNoSpaceSaysSo and keeps what it has until it is discarded.
func TestBuilderThatFindsNoSpaceSaysSo(t *testing.T) {
	dir := t.TempDir()
	x := openIndex(t, dir, nil, 0)
	x.opts.MemtableEntries = 10
	b := x.NewBuilder(0)
	es := makeEntries(25, 0, 0)
	for i := range es[:20] {
		require.NoError(t, b.Add(es[i:i+1], int64(es[i].Loc)))
	}
	stop := durable.Observe(fullDisk{})
	defer stop()
	require.ErrorIs(t, b.Add(es[20:21], int64(es[20].Loc)), syscall.ENOSPC)
	_, err := b.Finish(10_000)
	require.ErrorIs(t, err, syscall.ENOSPC)
	stop()
	require.Len(t, fileNames(t, dir), 1)
	require.NoError(t, b.Discard())
	require.Empty(t, fileNames(t, dir))
}
