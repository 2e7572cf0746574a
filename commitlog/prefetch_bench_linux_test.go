package commitlog

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// BenchmarkColdBodies reads bodies of 1 KiB that are not in memory, as consumers do
// when they are due: scattered ones, on demand and after they were asked for in the
// order of the disk, beside the same number of random reads of the file, and
// neighbours.
func BenchmarkColdBodies(b *testing.B) {
	const records, wanted = 256 << 10, 8 << 10
	dir := b.TempDir()
	o := &Options{SegmentSize: 256 << 20, Flush: Async}
	l, _, err := Open(dir, nil, 0, nil, o)
	require.NoError(b, err)
	for range records {
		require.NoError(b, l.Append(&Record{Payload: make([]byte, 1024)}, nil, 0))
	}
	require.NoError(b, l.Close())
	l, _, err = Open(dir, l.Segments(), l.Tail(), nil, o)
	require.NoError(b, err)
	defer l.Close()
	var locs []Loc
	require.NoError(b, l.Scan(0, l.Tail(), func(f Frame) error {
		for it := range f.Items() {
			locs = append(locs, it.Loc)
		}
		return nil
	}))
	scattered := make([]Loc, wanted)
	for i := range scattered {
		scattered[i] = locs[rand.IntN(len(locs))]
	}
	view := func(loc Loc) error {
		v, err := l.View(loc, 1024)
		v.Release()
		return err
	}
	prefetch := func(locs []Loc) {
		const askers = 4 // as the store has
		readAll(b, slices.Sorted(slices.Values(locs)), askers, func(loc Loc) error {
			l.Prefetch(loc.Offset(), loc.Offset()+1024)
			return nil
		})
	}
	file, err := os.Open(l.chain.Path(0))
	require.NoError(b, err)
	defer file.Close()
	read := func(loc Loc) error {
		_, err := file.ReadAt(make([]byte, 4096), loc.Offset()%(200<<20)&^4095)
		return err
	}
	for _, c := range []struct {
		name    string
		readers int
		locs    []Loc
		before  func([]Loc)
		read    func(Loc) error
	}{
		{"disk-random-4K", coldReads, scattered, nil, read},
		{"scattered/one-reader", 1, scattered, nil, view},
		{"scattered/one-reader/prefetched", 1, scattered, prefetch, view},
		{"scattered/32-readers", coldReads, scattered, nil, view},
		{"sequential/one-reader/prefetched", 1, locs[:wanted], func(ls []Loc) { l.Prefetch(ls[0].Offset(), ls[len(ls)-1].Offset()+1024) }, view},
	} {
		b.Run(c.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				evict(b, dir)
				b.StartTimer()
				if c.before != nil {
					c.before(c.locs)
				}
				readAll(b, c.locs, c.readers, c.read)
			}
			b.ReportMetric(float64(wanted)*float64(b.N)/b.Elapsed().Seconds(), "bodies/s")
		})
	}
}

// readAll divides locs among so many readers.
func readAll(b *testing.B, locs []Loc, readers int, read func(Loc) error) {
	var g errgroup.Group
	for part := range slices.Chunk(locs, len(locs)/readers) {
		g.Go(func() error {
			for _, loc := range part {
				if err := read(loc); err != nil {
					return err
				}
			}
			return nil
		})
	}
	require.NoError(b, g.Wait())
}
