package delayindex

import (
	"errors"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// sliceIterator yields a slice, then err. It counts how often it was closed.
type sliceIterator struct {
	es     []Entry
	err    error
	closed int
}

func (it *sliceIterator) Next(dst []Entry) (int, error) {
	n := copy(dst, it.es)
	it.es = it.es[n:]
	if n == 0 {
		return 0, it.err
	}
	return n, nil
}

func (it *sliceIterator) Close() { it.closed++ }

func TestMergeYieldsAllSourcesInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []Entry
		var its []Iterator
		for range rapid.IntRange(0, 9).Draw(t, "sources") {
			es := makeEntries(rapid.IntRange(0, sourceBatch+50).Draw(t, "n"), int64(len(all))*100, within(1))
			if rapid.Bool().Draw(t, "clustered") {
				for i := range es {
					es[i].When = MakeWhen(baseMs+int64(len(its)), 0)
				}
			}
			all = append(all, es...)
			its = append(its, &sliceIterator{es: selected(es, 0, MaxFireMs)})
		}
		got, err := drain(Merge(its...), rapid.IntRange(1, 600).Draw(t, "batch"))
		require.NoError(t, err)
		require.Equal(t, selected(all, 0, MaxFireMs), got)
	})
}

func TestMergeReportsAnErrorAfterTheEntriesBeforeIt(t *testing.T) {
	bad := errors.New("bad block")
	es := makeEntries(10, 0, within(1))
	broken := &sliceIterator{es: selected(es[:5], 0, MaxFireMs), err: bad}
	whole := &sliceIterator{es: selected(es[5:], 0, MaxFireMs)}
	it := Merge(broken, whole)
	got, err := drain(it, 100)
	require.ErrorIs(t, err, bad)
	require.Equal(t, selected(es, 0, MaxFireMs)[:len(got)], got)
	require.GreaterOrEqual(t, len(got), 5)
	_, err = it.Next(make([]Entry, 1))
	require.ErrorIs(t, err, bad, "the error stays")
}

func TestMergeStopsAtASourceThatNeverBegan(t *testing.T) {
	bad := errors.New("bad block")
	it := Merge(&sliceIterator{es: makeEntries(3, 0, within(1))}, &sliceIterator{err: bad})
	n, err := it.Next(make([]Entry, 8))
	require.Zero(t, n)
	require.ErrorIs(t, err, bad)
}

func TestMergeClosesItsSources(t *testing.T) {
	a, b := &sliceIterator{es: makeEntries(5, 0, within(1))}, &sliceIterator{}
	it := Merge(a, b)
	_, err := it.Next(make([]Entry, 2))
	require.NoError(t, err)
	require.Zero(t, a.closed)
	it.Close()
	it.Close()
	require.Positive(t, a.closed)
	require.Positive(t, b.closed)
	n, err := it.Next(make([]Entry, 2))
	require.NoError(t, err)
	require.Zero(t, n, "a closed merge has ended")
}
