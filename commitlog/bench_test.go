package commitlog

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog/segment"
)

// benchLog opens a lane in a fresh directory with recycled files.
func benchLog(b *testing.B, o Options) *Log {
	b.Helper()
	dir := b.TempDir()
	pool, err := segment.OpenPool(dir+"/pool", 4)
	require.NoError(b, err)
	o.Pool = pool
	l, _, err := Open(dir+"/lane", nil, 0, nil, &o)
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, l.Close()) })
	return l
}

// trimBehind removes sealed segments, so that a long run needs little disk and
// writes into recycled files, as a store in its steady state does.
func trimBehind(b *testing.B, l *Log) {
	for _, s := range l.Segments() {
		if s.Sealed {
			require.NoError(b, l.Remove(s.Base))
		}
	}
}

// warm fills and recycles a few segments, so that what is measured writes into
// blocks that were written before.
func warm(b *testing.B, l *Log) {
	r := Record{Payload: make([]byte, 64<<10)}
	for range 5 * l.o.SegmentSize / (64 << 10) {
		require.NoError(b, l.Append(&r, nil, 0))
		trimBehind(b, l)
	}
	last := make(waiter, 1)
	require.NoError(b, l.Append(&r, last, 0))
	require.NoError(b, <-last)
	require.NoError(b, l.Sync())
}

// BenchmarkAppendAsync is one producer that never waits for an acknowledgement.
func BenchmarkAppendAsync(b *testing.B) {
	for _, w := range []segment.Writer{segment.Pwrite, segment.Mmap} {
		for _, size := range []int{100, 1024} {
			b.Run(fmt.Sprintf("writer=%v/size=%d", w, size), func(b *testing.B) {
				l := benchLog(b, Options{Flush: Async, Writer: w, SegmentSize: 64 << 20})
				warm(b, l)
				r := Record{Flags: FlagScheduled, When: 1 << 40, Payload: make([]byte, size)}
				b.SetBytes(int64(size))
				b.ReportAllocs()
				for i := 0; b.Loop(); i++ {
					if err := l.Append(&r, nil, 0); err != nil {
						b.Fatal(err)
					}
					if i&0xffff == 0 {
						trimBehind(b, l)
					}
				}
				require.NoError(b, l.Sync())
			})
		}
	}
}

// waiter lets a producer block for its acknowledgement.
type waiter chan error

func (w waiter) Complete(_ uint64, _ *Item, _ int64, err error) { w <- err }

// batchCounter counts batches; each is one sync.
type batchCounter struct {
	noHooks
	n int
}

func (c *batchCounter) Assign([]Item, int64) { c.n++ }

// BenchmarkGroupCommit is blocking producers with a real fdatasync for each batch.
func BenchmarkGroupCommit(b *testing.B) {
	for _, producers := range []int{1, 16, 64} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			var batches batchCounter
			l := benchLog(b, Options{SegmentSize: 64 << 20, Hooks: &batches})
			warm(b, l)
			batches.n = 0
			payload := make([]byte, 1024)
			b.SetBytes(1024)
			b.ReportAllocs()
			b.ResetTimer()
			start := time.Now()
			var wg sync.WaitGroup
			for p := range producers {
				n := b.N / producers
				if p == 0 {
					n += b.N % producers
				}
				wg.Go(func() {
					w := make(waiter, 1)
					r := Record{Flags: FlagScheduled, When: 1 << 40, Payload: payload}
					for range n {
						if err := l.Append(&r, w, 0); err != nil {
							panic(err)
						}
						if err := <-w; err != nil {
							panic(err)
						}
					}
				})
			}
			wg.Wait()
			b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "msg/s")
			b.ReportMetric(float64(b.N)/float64(batches.n), "msg/sync")
		})
	}
}

// BenchmarkAppendFrame is the fire journal's way: one caller, durable on return.
func BenchmarkAppendFrame(b *testing.B) {
	l := benchLog(b, Options{SegmentSize: 16 << 20, Reserve: true})
	warm(b, l)
	payload := make([]byte, 40)
	b.SetBytes(40)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := l.AppendFrame(payload, 1, 0); err != nil {
			b.Fatal(err)
		}
	}
}

// filled is a log with n records of 1 KiB and their locations.
func filled(b *testing.B, n int) (*Log, []Loc) {
	l := benchLog(b, Options{Flush: Async, SegmentSize: 256 << 20})
	locs := make([]Loc, 0, n)
	payload := make([]byte, 1024)
	for range n {
		require.NoError(b, l.Append(&Record{Payload: payload}, nil, 0))
	}
	last := make(waiter, 1)
	require.NoError(b, l.Append(&Record{}, last, 0))
	require.NoError(b, <-last)
	require.NoError(b, l.Scan(0, l.Tail(), func(f Frame) error {
		for it := range f.Items() {
			locs = append(locs, it.Loc)
		}
		return nil
	}))
	return l, locs[:n]
}

// BenchmarkView reads warm records: just written ones, and ones that the kernel is
// asked about first.
func BenchmarkView(b *testing.B) {
	for _, hot := range []bool{true, false} {
		b.Run(fmt.Sprintf("hot=%v", hot), func(b *testing.B) {
			l, locs := filled(b, 16<<10)
			if !hot {
				l.hotFrom = l.Tail()
			}
			b.SetBytes(1024)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				v, err := l.View(locs[i%len(locs)], 1024)
				if err != nil {
					b.Fatal(err)
				}
				v.Release()
			}
		})
	}
}

// BenchmarkScan reads frames with their checksums, as recovery does.
func BenchmarkScan(b *testing.B) {
	l, _ := filled(b, 128<<10)
	b.SetBytes(l.Tail())
	b.ReportAllocs()
	for b.Loop() {
		records := 0
		err := l.Scan(0, l.Tail(), func(f Frame) error {
			for range f.Items() {
				records++
			}
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
}
