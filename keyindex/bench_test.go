package keyindex

import (
	"math/rand/v2"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

const benchEntries = 1 << 20 // one full memtable

func perEntry(b *testing.B, n int) {
	b.ReportAllocs()
	b.Cleanup(func() {
		b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/entry")
	})
}

// addInBatches shifts lane behind what the index has and adds it.
func addInBatches(x *Index, lane []Entry, shift uint64) {
	for i := 0; i < len(lane); i += 256 {
		batch := lane[i:min(i+256, len(lane))]
		for j := range batch {
			batch[j].Loc += shift
		}
		x.Add(batch, endOf(batch))
	}
}

// BenchmarkAdd is what the appender waits for.
func BenchmarkAdd(b *testing.B) {
	lane := makeEntries(benchEntries, 0, 0)
	shift := uint64(0)
	x := openIndex(b, b.TempDir(), nil, 0)
	perEntry(b, benchEntries)
	for b.Loop() {
		addInBatches(x, lane, shift)
		shift = benchEntries * stride
		b.StopTimer()
		x.Freeze()
		start, end := x.set.Frozen[0].Range()
		require.NoError(b, x.Install(RunInfo{Start: start, End: end}, false))
		b.StartTimer()
	}
}

// BenchmarkFlush is sort, checksum, write and sync of one memtable.
func BenchmarkFlush(b *testing.B) {
	x := openIndex(b, b.TempDir(), nil, 0)
	lane := makeEntries(benchEntries, 0, 0)
	addInBatches(x, lane, 0)
	require.True(b, x.Freeze())
	perEntry(b, benchEntries)
	var ri RunInfo
	for b.Loop() {
		var err error
		ri, _, err = x.Flush()
		require.NoError(b, err)
	}
	b.ReportMetric(float64(ri.Bytes())/benchEntries, "disk-B/entry")
	b.ReportMetric(float64(blocksFor(ri.Count)*fenceSize)/benchEntries, "mem-B/entry")
}

// BenchmarkMerge makes one run of 16.
func BenchmarkMerge(b *testing.B) {
	x := openIndex(b, b.TempDir(), nil, 0)
	lane := makeEntries(benchEntries, 0, 0)
	for i := 0; i < len(lane); i += len(lane) / fanIn {
		addRun(b, x, lane[i:i+len(lane)/fanIn])
	}
	perEntry(b, benchEntries)
	for b.Loop() {
		_, wrote, err := x.Merge(x.Runs(), nil, nil)
		require.NoError(b, err)
		require.True(b, wrote)
	}
}

// BenchmarkFind looks for keys, half of which are there once, in 100 runs of
// 100,000 entries and a memtable of half a million. cold takes the files out of
// the page cache before each.
func BenchmarkFind(b *testing.B) {
	x := openIndex(b, b.TempDir(), nil, 0)
	var keys []uint64
	end := int64(0)
	for range 100 {
		es := makeEntries(100_000, end, 0)
		end = endOf(es)
		keys = append(keys, es[0].Hash, es[0].Hash+1)
		addRun(b, x, es)
	}
	es := makeEntries(benchEntries/2, end, 0)
	x.Add(es, endOf(es))
	for _, cold := range []bool{false, true} {
		name := map[bool]string{false: "warm", true: "cold"}[cold]
		b.Run(name, func(b *testing.B) {
			r := rand.New(rand.NewPCG(1, 1))
			b.ReportAllocs()
			for b.Loop() {
				if cold {
					b.StopTimer()
					evict(b, x.dir)
					b.StartTimer()
				}
				require.NoError(b, x.Find(keys[r.IntN(len(keys))], func(uint64) bool { return true }))
			}
		})
	}
}

func evict(b *testing.B, dir string) {
	files, err := os.ReadDir(dir)
	require.NoError(b, err)
	for _, file := range files {
		f, err := os.Open(dir + "/" + file.Name())
		require.NoError(b, err)
		require.NoError(b, dropCache(f))
		require.NoError(b, f.Close())
	}
}
