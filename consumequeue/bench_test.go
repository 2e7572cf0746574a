package consumequeue

import (
	"fmt"
	"testing"

	"golang.org/x/sync/errgroup"
)

// BenchmarkPut reserves and puts one slot at a time. Flushing happens outside
// the clock, as another goroutine would do it.
func BenchmarkPut(b *testing.B) {
	for _, queues := range []int{1, 1000} {
		b.Run(fmt.Sprintf("queues=%d", queues), func(b *testing.B) {
			qs := benchQueues(b, queues)
			b.SetBytes(EntrySize)
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				q := qs[i%queues]
				slot := q.Reserve(1)
				q.Put(slot, Entry{Loc: uint64(i), Size: 1100, DeliverMs: int64(i)})
				if i&(1<<20-1) == 1<<20-1 {
					b.StopTimer()
					flushAll(b, qs)
					b.StartTimer()
				}
			}
		})
	}
}

func BenchmarkPutParallel(b *testing.B) {
	q := benchQueues(b, 1)[0]
	b.SetBytes(EntrySize)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			q.Put(q.Reserve(1), Entry{Loc: 1, Size: 1100})
		}
	})
}

// BenchmarkRead reads batches of 32 from one end to the other.
func BenchmarkRead(b *testing.B) {
	const n, batch = 256 << 10, 32
	read := func(b *testing.B, q *Queue) {
		var dst [batch]Entry
		b.SetBytes(batch * EntrySize)
		b.ReportAllocs()
		b.ResetTimer()
		for i := range b.N {
			if k, err := q.Read(int64(i*batch%n), dst[:]); k != batch || err != nil {
				b.Fatal(k, err)
			}
		}
	}
	b.Run("memory", func(b *testing.B) {
		q := benchQueues(b, 1)[0]
		putN(q, n)
		read(b, q)
	})
	b.Run("file", func(b *testing.B) {
		q := benchQueues(b, 1)[0]
		putN(q, n)
		flushAll(b, []*Queue{q})
		cold(q)
		read(b, q)
	})
}

// BenchmarkFlush spreads the entries over the queues, puts outside the clock
// and flushes all of them, 16 at a time.
func BenchmarkFlush(b *testing.B) {
	for _, c := range []struct{ queues, entries int }{{1, 1}, {1, 10_000}, {1, 1 << 20}, {1000, 100_000}} {
		b.Run(fmt.Sprintf("queues=%d/entries=%d", c.queues, c.entries), func(b *testing.B) {
			qs := benchQueues(b, c.queues)
			b.SetBytes(int64(c.entries) * EntrySize)
			flushEntries(b, qs, c.entries) // the first one makes files
			b.ResetTimer()
			for range b.N {
				flushEntries(b, qs, c.entries)
			}
		})
	}
}

func flushEntries(b *testing.B, qs []*Queue, entries int) {
	b.StopTimer()
	for _, q := range qs {
		putN(q, entries/len(qs))
	}
	b.StartTimer()
	flushAll(b, qs)
}

func BenchmarkDecodeEntry(b *testing.B) {
	e := entryOf(7)
	buf := AppendEntry(nil, 7, &e)
	b.SetBytes(EntrySize)
	for b.Loop() {
		if _, err := DecodeEntry(buf, 7); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendEntry(b *testing.B) {
	e := entryOf(7)
	buf := make([]byte, 0, EntrySize)
	b.SetBytes(EntrySize)
	b.ReportAllocs()
	for b.Loop() {
		buf = AppendEntry(buf[:0], 7, &e)
	}
}

func benchQueues(b *testing.B, n int) []*Queue {
	_, s := openTest(b, b.TempDir(), nil, 0, 0)
	qs := make([]*Queue, n)
	for i := range qs {
		q, err := s.Queue("bench", int32(i), 0, 0)
		if err != nil {
			b.Fatal(err)
		}
		qs[i] = q
	}
	return qs
}

func flushAll(b *testing.B, qs []*Queue) {
	var g errgroup.Group
	g.SetLimit(16)
	for _, q := range qs {
		g.Go(func() error { _, err := q.Flush(); return err })
	}
	if err := g.Wait(); err != nil {
		b.Fatal(err)
	}
}
