package delayindex

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// TestChainYieldsAllSourcesInOrder has many ties, sources that end early, and
// more entries of one fire time than a source has in memory.
func TestChainYieldsAllSourcesInOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var all []Entry
		var its []Iterator
		for range rapid.IntRange(0, 9).Draw(t, "sources") {
			n := rapid.SampledFrom([]int{0, 1, 50, sourceEntries, 2*sourceEntries + 7}).Draw(t, "n")
			es := makeEntries(n, int64(len(all))*100, within(1))
			keepMs := rapid.SampledFrom([]uint64{1, 3, 1000, 3600_000}).Draw(t, "range in ms")
			for i := range es {
				es[i].When = MakeWhen(baseMs+int64(es[i].fire()%keepMs), 0)
			}
			all = append(all, es...)
			its = append(its, &sliceIterator{es: selected(es, 0, MaxFireMs)})
		}
		got, err := drain(mergeChain(its), rapid.IntRange(1, 5000).Draw(t, "batch"))
		require.NoError(t, err)
		require.Equal(t, selected(all, 0, MaxFireMs), got)
	})
}

func TestChainSortsNoMoreThanAWindowAtOnce(t *testing.T) {
	var its []Iterator
	for i := range 100 {
		es := makeEntries(sourceEntries, int64(i)<<32, within(1))
		its = append(its, &sliceIterator{es: selected(es, 0, MaxFireMs)})
	}
	it := mergeChain(its)
	dst, total := make([]Entry, 1000), 0
	for {
		n, err := it.Next(dst)
		require.NoError(t, err)
		require.LessOrEqual(t, len(it.(*chainMerger).buf), windowEntries)
		if n == 0 {
			break
		}
		total += n
	}
	require.Equal(t, 100*sourceEntries, total)
}

func TestChainReportsAnErrorAfterTheEntriesBeforeIt(t *testing.T) {
	bad := errors.New("bad block")
	es := makeEntries(10, 0, within(1))
	for _, brokenFirst := range []bool{true, false} {
		broken := &sliceIterator{es: selected(es[:5], 0, MaxFireMs), err: bad}
		whole := &sliceIterator{es: selected(es[5:], 0, MaxFireMs)}
		all := selected(es, 0, MaxFireMs)
		it := mergeChain([]Iterator{broken, whole})
		if !brokenFirst {
			broken.es, whole.es = selected(es[5:], 0, MaxFireMs), selected(es[:5], 0, MaxFireMs)
			it = mergeChain([]Iterator{whole, broken})
		}
		got, err := drain(it, 100)
		require.ErrorIs(t, err, bad)
		require.Equal(t, all[:len(got)], got)
		require.GreaterOrEqual(t, len(got), 5)
		_, err = it.Next(make([]Entry, 1))
		require.ErrorIs(t, err, bad, "the error stays")
	}
}

func TestChainStopsAtASourceThatNeverBegan(t *testing.T) {
	bad := errors.New("bad block")
	it := mergeChain([]Iterator{&sliceIterator{es: selected(makeEntries(3, 0, within(1)), 0, MaxFireMs)}, &sliceIterator{err: bad}})
	n, err := it.Next(make([]Entry, 8))
	require.Zero(t, n)
	require.ErrorIs(t, err, bad)
}

func TestChainClosesItsSources(t *testing.T) {
	a, b := &sliceIterator{es: selected(makeEntries(5, 0, within(1)), 0, MaxFireMs)}, &sliceIterator{}
	it := mergeChain([]Iterator{a, b})
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

// BenchmarkChain merges sources that cost nothing: entries spread evenly, and
// entries of one delay, of which each source has all before the next.
func BenchmarkChain(b *testing.B) {
	for _, k := range []int{2, 8, 64, 477} {
		for name, fire := range map[string]func(*rand.Rand, int) int64{"spread": within(100), "constant": delays[0].fire} {
			b.Run(fmt.Sprintf("%s/%d", name, k), func(b *testing.B) {
				lane := makeEntries(benchEntries, 0, fire)
				sources := make([][]Entry, k)
				for i := range sources {
					sources[i] = lane[i*len(lane)/k : (i+1)*len(lane)/k]
					Sort(sources[i], nil)
				}
				dst := make([]Entry, 4096)
				perEntry(b, benchEntries)
				for b.Loop() {
					its := make([]Iterator, k)
					for i := range its {
						its[i] = &sliceIterator{es: sources[i]}
					}
					require.Equal(b, benchEntries, consume(b, mergeChain(its), dst))
				}
			})
		}
	}
}
