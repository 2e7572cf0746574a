package store

import (
	"context"
	"fmt"
	"hash/fnv"
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
)

// orderJSON is a body of n bytes as shops send them.
func orderJSON(r *rand.Rand, n int) []byte {
	b := fmt.Appendf(nil, `{"orderId":"%016x%016x","customerId":%d,"email":"user%d@example.com","items":[`,
		r.Uint64(), r.Uint64(), r.IntN(1e6), r.IntN(1e6))
	for len(b) < n {
		b = fmt.Appendf(b, `{"sku":"SKU-%06d","quantity":%d,"unitPrice":%d.%02d,"currency":"EUR","warehouse":"DE-%02d"},`,
			r.IntN(50000), 1+r.IntN(9), r.IntN(300), r.IntN(100), r.IntN(20))
	}
	return b[:n]
}

// fullSegments makes a store whose far lane has n full segments, evenly spread over
// a year, that are old enough to be evacuated.
func fullSegments(b *testing.B, n int, o *Options) (*Store, int64) {
	b.Helper()
	clock := NewManualClock(time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC))
	o.Clock, o.Flush, o.EvacuateAfter, o.keeperTick = clock, commitlog.Async, 6*time.Hour, time.Hour
	s := mustOpen(b, b.TempDir(), o)
	q := mustQueue(b, s, "bench", 0)
	r := rand.New(rand.NewPCG(1, 2))
	c := &counter{}
	total := int64(0)
	for len(s.lanes[farLane].log.Segments()) <= n {
		for range 1000 {
			c.Add(1)
			total++
			fire := s.NowMs() + (5 * day).Milliseconds() + r.Int64N((360 * day).Milliseconds())
			m := Message{Queue: q, FireMs: fire, Payload: orderJSON(r, 1024)}
			if o.Keys != nil {
				m.Keys = o.Keys(m.Payload, nil)
			}
			require.NoError(b, s.PutAsync(&m, c, 0))
		}
		c.Wait()
	}
	clock.Advance(time.UnixMilli(s.NowMs()).Add(7 * time.Hour))
	require.NoError(b, s.Settle(context.Background()))
	require.NoError(b, s.saveAll())
	return s, total
}

// BenchmarkEvacuate compacts segments of 256 MiB of JSON bodies of 1 KiB, without a
// bound on the pace: MB/s of messages, processor time for each, bytes written for
// each byte of them.
func BenchmarkEvacuate(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s, n := fullSegments(b, 1, &Options{})
		cpu := processCPU()
		b.StartTimer()
		require.NoError(b, s.compactor.run(true))
		b.StopTimer()
		cpu = processCPU() - cpu
		u := s.cold.files.Usage()
		require.EqualValues(b, n, u.Records)
		var size int64
		for _, info := range s.cold.files.Infos() {
			size += info.Size
		}
		b.SetBytes(size)
		b.ReportMetric(float64(cpu.Nanoseconds())/float64(n), "cpu-ns/message")
		b.ReportMetric(float64(u.Bytes)/float64(size), "stored/bytes")
		b.ReportMetric(float64(s.written[BytesCold].Load()+s.written[BytesIndex].Load())/float64(s.written[BytesLog].Load())+1, "written/ordinary")
		require.NoError(b, s.Close())
		require.NoError(b, os.RemoveAll(s.dir))
		b.StartTimer()
	}
}

// orderKeys are two keys of a body of orderJSON.
func orderKeys(payload []byte, dst []uint64) []uint64 {
	h := fnv.New64a()
	h.Write(payload[:48])
	return append(dst, h.Sum64(), h.Sum64()+1)
}

// BenchmarkEvacuationCommit is how long checkpoints and cancellations wait for the
// evacuation of a segment of 256 MiB with bodies of 1 KiB and two keys for each.
func BenchmarkEvacuationCommit(b *testing.B) {
	for b.Loop() {
		b.StopTimer()
		s, _ := fullSegments(b, 1, &Options{Keys: orderKeys})
		s.compactor.throttle.off = true
		l := s.lanes[farLane]
		ev, ok := s.compactor.begin(l, l.log.Segments()[0])
		require.True(b, ok)
		require.NoError(b, ev.survey())
		require.NoError(b, ev.write())
		b.StartTimer()
		moved, err := ev.commit()
		b.StopTimer()
		require.NoError(b, err)
		require.True(b, moved)
		require.NoError(b, s.Close())
		require.NoError(b, os.RemoveAll(s.dir))
		b.StartTimer()
	}
}

// BenchmarkReadCold reads messages from cold files in the page cache: in the order
// in which they fire, where a block serves all of its messages, and at random with
// a cache that is too small for them.
func BenchmarkReadCold(b *testing.B) {
	s, _ := fullSegments(b, 1, &Options{ColdCacheBytes: 4 << 20})
	require.NoError(b, s.compactor.run(true))
	var all []PendingMessage
	for m, err := range s.PendingAfter(PendingPosition{}, endOfTime) {
		require.NoError(b, err)
		all = append(all, m)
	}
	byPlace := slices.Clone(all)
	slices.SortFunc(byPlace, func(x, y PendingMessage) int { return int(int64(x.Loc) - int64(y.Loc)) })
	random := slices.Clone(all)
	rand.Shuffle(len(random), func(i, j int) { random[i], random[j] = random[j], random[i] })
	for _, c := range []struct {
		name string
		in   []PendingMessage
	}{{"due-together", byPlace}, {"due-over-all-files", all}, {"scattered", random}} {
		b.Run(c.name, func(b *testing.B) {
			b.SetBytes(1024)
			i, cpu := 0, processCPU()
			defer func() { b.ReportMetric(float64((processCPU()-cpu).Nanoseconds())/float64(i), "cpu-ns/op") }()
			for b.Loop() {
				m := &c.in[i%len(c.in)]
				i++
				v, err := s.Read(m.Loc, m.Size)
				if err != nil {
					b.Fatal(err)
				}
				v.Release()
			}
		})
	}
}
