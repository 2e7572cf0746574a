package delayindex

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

const benchEntries = 2 << 20 // one full memtable

// perEntry makes a benchmark whose operation is n entries comparable.
func perEntry(b *testing.B, n int) {
	b.SetBytes(int64(n) * EntrySize)
	b.ReportAllocs()
	b.Cleanup(func() {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/entry")
	})
}

// BenchmarkAdd adds one memtable of entries in batches and flushes it, so that
// an entry carries its share of sort, checksum, write and sync.
func BenchmarkAdd(b *testing.B) {
	for _, d := range delays {
		b.Run(d.name, func(b *testing.B) {
			lane := makeEntries(benchEntries, 0, d.fire)
			x := openIndex(b, b.TempDir(), nil, 0)
			perEntry(b, benchEntries)
			for b.Loop() {
				addInBatches(b, x, lane)
				flushAndDrop(b, x)
			}
		})
	}
}

// addInBatches shifts lane behind what the index has and adds it.
func addInBatches(b *testing.B, x *Index, lane []Entry) {
	shift := uint64(x.MemtableStart()) - lane[0].Loc
	for i := range lane {
		lane[i].Loc += shift
	}
	for i := 0; i < len(lane); i += 256 {
		batch := lane[i:min(i+256, len(lane))]
		x.Add(batch, endOf(batch))
	}
}

func flushAndDrop(b *testing.B, x *Index) {
	require.True(b, x.Freeze())
	ri, wrote, err := x.Flush(nil)
	require.NoError(b, err)
	require.NoError(b, x.Install(ri, wrote))
	require.NoError(b, x.Drop(ri))
}

// BenchmarkAddOnly is the part of Add that the appender waits for.
func BenchmarkAddOnly(b *testing.B) {
	lane := makeEntries(benchEntries, 0, delays[1].fire)
	x := openIndex(b, b.TempDir(), nil, 0)
	perEntry(b, benchEntries)
	for b.Loop() {
		addInBatches(b, x, lane)
		b.StopTimer()
		x.Freeze()
		ri, wrote, err := x.Flush(func(*Entry) bool { return false })
		require.NoError(b, err)
		require.NoError(b, x.Install(ri, wrote))
		b.StartTimer()
	}
}

// BenchmarkFlush is sort, checksum, write and sync of one memtable.
func BenchmarkFlush(b *testing.B) {
	for _, d := range delays {
		b.Run(d.name, func(b *testing.B) {
			x := openIndex(b, b.TempDir(), nil, 0)
			lane := makeEntries(benchEntries, 0, d.fire)
			x.Add(lane, endOf(lane))
			x.Freeze()
			perEntry(b, benchEntries)
			for b.Loop() {
				_, _, err := x.Flush(nil)
				require.NoError(b, err)
			}
		})
	}
}

// BenchmarkSort sorts a second of the near wheel and a whole memtable.
func BenchmarkSort(b *testing.B) {
	second := func(r *rand.Rand, _ int) int64 { return baseMs + r.Int64N(1000) }
	for _, c := range []struct {
		name string
		n    int
		fire func(*rand.Rand, int) int64
	}{
		{"second/1k", 1000, second},
		{"second/100k", 100_000, second},
		{"uniform/2M", benchEntries, delays[1].fire},
		{"mix/2M", benchEntries, delays[3].fire},
	} {
		b.Run(c.name, func(b *testing.B) {
			lane := makeEntries(c.n, 0, c.fire)
			es, scratch := make([]Entry, c.n), make([]Entry, c.n)
			perEntry(b, c.n)
			for b.Loop() {
				copy(es, lane)
				Sort(es, scratch)
			}
		})
	}
}

// BenchmarkScanMemtable looks for a second in a full memtable: one whose entries
// are side by side, and one for which every chunk has to be scanned.
func BenchmarkScanMemtable(b *testing.B) {
	for name, fire := range map[string]func(*rand.Rand, int) int64{"constant": delays[0].fire, "uniform": within(2)} {
		b.Run(name, func(b *testing.B) {
			x := openIndex(b, b.TempDir(), nil, 0)
			lane := makeEntries(benchEntries, 0, fire)
			x.Add(lane, endOf(lane))
			s := x.Snapshot()
			defer s.Release()
			dst := make([]Entry, 1024)
			perEntry(b, benchEntries)
			for b.Loop() {
				consume(b, s.Second((baseMs+30*minuteMs)/1000+5), dst)
			}
		})
	}
}

// consume reads an iterator to its end and returns the number of entries.
func consume(b *testing.B, it Iterator, dst []Entry) int {
	defer it.Close()
	total := 0
	for {
		n, err := it.Next(dst)
		require.NoError(b, err)
		if n == 0 {
			return total
		}
		total += n
	}
}

// BenchmarkIterate reads runs, warm, through a snapshot: one run is plain
// reading, more of them are merged.
func BenchmarkIterate(b *testing.B) {
	for _, runs := range []int{1, 8, 64} {
		for _, d := range []int{0, 1} {
			b.Run(fmt.Sprintf("%s/%d", delays[d].name, runs), func(b *testing.B) {
				x := openIndex(b, b.TempDir(), nil, 0)
				lane := makeEntries(benchEntries, 0, delays[d].fire)
				for part := range runs {
					addRun(b, x, lane[part*benchEntries/runs:(part+1)*benchEntries/runs])
				}
				s := x.Snapshot()
				defer s.Release()
				dst := make([]Entry, 1024)
				perEntry(b, benchEntries)
				for b.Loop() {
					require.Equal(b, benchEntries, consume(b, s.Iter(0, MaxFireMs), dst))
				}
			})
		}
	}
}

// BenchmarkMerge merges sources that cost nothing, entries spread evenly.
func BenchmarkMerge(b *testing.B) {
	for _, k := range []int{1, 8, 64} {
		b.Run(fmt.Sprint(k), func(b *testing.B) {
			sources := make([][]Entry, k)
			for i := range sources {
				sources[i] = makeEntries(benchEntries/k, int64(i)<<40, within(1))
				Sort(sources[i], nil)
			}
			dst := make([]Entry, 1024)
			perEntry(b, benchEntries)
			for b.Loop() {
				its := make([]Iterator, k)
				for i := range its {
					its[i] = &sliceIterator{es: sources[i]}
				}
				require.Equal(b, benchEntries, consume(b, Merge(its...), dst))
			}
		})
	}
}

// BenchmarkOpen opens an index of runs as they are after a long night.
func BenchmarkOpen(b *testing.B) {
	x := openIndex(b, b.TempDir(), nil, 0)
	lane := makeEntries(100*10_000, 0, delays[1].fire)
	for i := 0; i < len(lane); i += 10_000 {
		addRun(b, x, lane[i:i+10_000])
	}
	runs, upTo := x.Runs(), x.IndexedUpTo()
	perEntry(b, len(lane))
	for b.Loop() {
		y, err := Open(x.dir, runs, upTo, nil)
		require.NoError(b, err)
		require.NoError(b, y.Close())
	}
}

// BenchmarkSnapshot takes a snapshot of 100 runs and asks for a second.
func BenchmarkSnapshot(b *testing.B) {
	x := openIndex(b, b.TempDir(), nil, 0)
	lane := makeEntries(100*1000, 0, within(24))
	for i := 0; i < len(lane); i += 1000 {
		addRun(b, x, lane[i:i+1000])
	}
	dst := make([]Entry, 1024)
	b.ReportAllocs()
	for b.Loop() {
		s := x.Snapshot()
		consume(b, s.Second(baseMs/1000+7200), dst)
		s.Release()
	}
}

// BenchmarkBlock encodes and decodes blocks, as flushes and readers do.
func BenchmarkBlock(b *testing.B) {
	es := makeEntries(blockEntries, 0, within(9))
	Sort(es, nil)
	var buf blockBuffer
	b.Run("encode", func(b *testing.B) {
		perEntry(b, blockEntries)
		for b.Loop() {
			encodeBlock(&buf, es)
		}
	})
	raw := encodeBlock(&buf, es)
	var l layout
	_, err := l.decode(raw)
	require.NoError(b, err)
	b.Run("decode", func(b *testing.B) {
		perEntry(b, blockEntries)
		for b.Loop() {
			blk := newBlock(l, buf[blockHeaderSize:len(raw)+rowSlack], blockEntries)
			blk.decodeTo(es, 0)
		}
	})
}
