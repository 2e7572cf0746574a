package store

import (
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/internal/testutil"
)

// indexOnly is a store whose messages have no bodies: entries go to the delay
// index and the near wheel of lane 1, as if the lane had just stored them.
type indexOnly struct {
	*Store
	end int64
}

func openIndexOnly(b *testing.B, o *Options) *indexOnly {
	return &indexOnly{Store: mustOpen(b, testutil.FastDir(b), o)}
}

// add absorbs n entries of q with the given fire times.
func (s *indexOnly) add(q *Queue, n int, fire func(i int) int64) {
	const batch = 4096
	es := make([]delayindex.Entry, 0, batch)
	for i := range n {
		s.end += 64
		es = append(es, delayindex.Entry{
			When: delayindex.MakeWhen(fire(i), 0), Loc: uint64(commitlog.MakeLoc(1, s.end-32)), Size: 8, Queue: q.id,
		})
		if len(es) == batch || i == n-1 {
			s.absorb(s.lanes[1], es, s.end)
			es = es[:0]
		}
	}
}

// peakHeap samples the heap until stop is called, which returns the most of it.
func peakHeap() (stop func() uint64) {
	quit := make(chan struct{})
	var peak uint64
	var wg sync.WaitGroup
	wg.Go(func() {
		for {
			var m runtime.MemStats
			runtime.ReadMemStats(&m)
			peak = max(peak, m.HeapInuse)
			select {
			case <-quit:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	return func() uint64 {
		close(quit)
		wg.Wait()
		return peak
	}
}

// BenchmarkFairness has five million messages of one topic and a hundred of
// another due in the same second: how late the worst of each was, in order of time
// as if there were one topic, and with fair shares. The files are in memory, so
// that what is seen is firing and not the syncs of a disk.
func BenchmarkFairness(b *testing.B) {
	for _, c := range []struct {
		name    string
		quantum int64
	}{{"in-order", 1 << 60}, {"fair", 0}} {
		b.Run(c.name, func(b *testing.B) { fairness(b, 5_000_000, 100, c.quantum) })
	}
}

func fairness(b *testing.B, many, few int, quantum int64) {
	for b.Loop() {
		b.StopTimer()
		s := openIndexOnly(b, &Options{quantum: quantum})
		heavy, light := mustQueue(b, s.Store, "heavy", 0), mustQueue(b, s.Store, "light", 0)
		base := (s.NowMs()/1000 + 12) * 1000
		inSecond := func(n int) func(int) int64 { return func(i int) int64 { return base + int64(i)*1000/int64(n) } }
		s.add(heavy, many, inSecond(many))
		s.add(light, few, inSecond(few))
		time.Sleep(time.Until(time.UnixMilli(base)))
		b.StartTimer()
		awaitMax(b, heavy, int64(many))
		awaitMax(b, light, int64(few))
		b.StopTimer()
		b.ReportMetric(float64(worstLateness(b, light, inSecond(few))), "light-max-ms")
		b.ReportMetric(float64(worstLateness(b, heavy, inSecond(many))), "heavy-max-ms")
		require.NoError(b, s.Close())
		b.StartTimer()
	}
	b.ReportMetric(float64(many+few)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

// BenchmarkHeavyTopics has three topics of a million messages each and a hundred of a
// fourth due in the same second: how late the worst of each was, and by how much of
// its messages one heavy topic was ever ahead of another.
func BenchmarkHeavyTopics(b *testing.B) {
	const many, few = 1_000_000, 100
	for b.Loop() {
		b.StopTimer()
		s := openIndexOnly(b, &Options{})
		base := (s.NowMs()/1000 + 12) * 1000
		inSecond := func(n int) func(int) int64 { return func(i int) int64 { return base + int64(i)*1000/int64(n) } }
		heavy := []*Queue{mustQueue(b, s.Store, "a", 0), mustQueue(b, s.Store, "b", 0), mustQueue(b, s.Store, "c", 0)}
		light := mustQueue(b, s.Store, "light", 0)
		for _, q := range heavy {
			s.add(q, many, inSecond(many))
		}
		s.add(light, few, inSecond(few))
		time.Sleep(time.Until(time.UnixMilli(base)))
		b.StartTimer()
		apart := 0.0
		for least := int64(0); least < many; time.Sleep(5 * time.Millisecond) {
			most := int64(0)
			least = many
			for _, q := range heavy { // the first is read first, and is behind by a bit
				least, most = min(least, q.Max()), max(most, q.Max())
			}
			apart = max(apart, float64(most-least)/many)
		}
		awaitMax(b, light, few)
		b.StopTimer()
		b.ReportMetric(100*apart, "apart-%")
		b.ReportMetric(float64(worstLateness(b, light, inSecond(few))), "light-max-ms")
		for i, q := range heavy {
			b.ReportMetric(float64(worstLateness(b, q, inSecond(many))), string(rune('a'+i))+"-max-ms")
		}
		require.NoError(b, s.Close())
		b.StartTimer()
	}
	b.ReportMetric(float64(3*many+few)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}

// worstLateness is the longest time between a fire time and the start of the
// batch with which the message became visible.
func worstLateness(b *testing.B, q *Queue, fireMs func(slot int) int64) (worst int64) {
	buf := make([]Delivery, 10_000)
	for from := int64(0); from < q.Max(); {
		n, err := q.Read(from, buf)
		require.NoError(b, err)
		for _, d := range buf[:n] {
			worst = max(worst, d.DeliverMs-fireMs(int(d.Slot)))
		}
		from += int64(n)
	}
	return worst
}

// BenchmarkHotSecond fires ten million entries of one second, which the near
// wheel cannot hold, from the runs of the index.
func BenchmarkHotSecond(b *testing.B) {
	for _, topics := range []int{1, 10} {
		b.Run(map[int]string{1: "topics=1", 10: "topics=10"}[topics], func(b *testing.B) { hotSecond(b, 10_000_000, topics) })
	}
}

func hotSecond(b *testing.B, n, topics int) {
	for b.Loop() {
		b.StopTimer()
		c := &stepClock{plainClock: newPlainClock(50 * time.Millisecond)}
		s := openIndexOnly(b, &Options{clock: c, NearEntries: 1 << 20})
		var queues []*Queue
		for i := range topics {
			queues = append(queues, mustQueue(b, s.Store, string(rune('a'+i)), 0))
		}
		base := (s.NowMs()/1000 + 3600) * 1000
		for _, q := range queues {
			s.add(q, n/topics, func(int) int64 { return base + rand.Int64N(1000) })
		}
		s.near.mu.Lock()
		s.lanes[1].index.Freeze()
		s.near.mu.Unlock()
		for s.lanes[1].index.Frozen() > 0 {
			s.kickKeeper()
			time.Sleep(10 * time.Millisecond)
		}
		runtime.GC()
		stop := peakHeap()
		c.step(time.Duration(base-s.NowMs()+1000) * time.Millisecond)
		b.StartTimer()
		for _, q := range queues {
			awaitMax(b, q, int64(n/topics))
		}
		b.StopTimer()
		b.ReportMetric(float64(stop())/(1<<20), "peak-heap-MiB")
		b.ReportMetric(float64(32*s.opts.NearEntries)/(1<<20), "wheel-MiB")
		require.NoError(b, s.Close())
		b.StartTimer()
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
}
