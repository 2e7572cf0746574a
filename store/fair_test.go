package store

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/testutil"
)

// paced are the options of a store that fires slowly, so that in fake time a
// backlog lasts.
func paced(rate int64) *Options {
	return small(Options{
		clock: newPlainClock(time.Hour), keeperTick: time.Second, CheckpointEvery: time.Hour,
		FireRate: rate, MemtableEntries: 2000, FireBatch: 100, quantum: 100,
	})
}

func putMany(t testing.TB, s *Store, ms []Message) {
	t.Helper()
	c := make(countdown, len(ms))
	for i := range ms {
		require.NoError(t, s.PutAsync(&ms[i], c, 0))
	}
	c.wait(t, len(ms))
}

func TestNoMoreFiresInASecondThanTheRateAllows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, rate = 5000, 1000
		s := mustOpen(t, testutil.FastDir(t), paced(rate))
		q := mustQueue(t, s, "a", 0)
		due := time.Now().Add(5 * time.Second)
		var ms []Message
		for i := range n {
			ms = append(ms, Message{Queue: q, FireMs: due.UnixMilli(), Payload: []byte(strconv.Itoa(i))})
		}
		putMany(t, s, ms)
		const saved = rate * paceSaved / 1000
		for sec := range 6 {
			time.Sleep(time.Until(due.Add(time.Duration(sec) * time.Second)))
			synctest.Wait()
			fired := q.Max()
			require.LessOrEqual(t, fired, int64(sec*rate+saved))
			require.GreaterOrEqual(t, fired, int64(min(n, sec*rate-saved)))
		}
		for i, p := range payloads(t, s, q) {
			require.Equal(t, strconv.Itoa(i), p)
		}
		require.Zero(t, s.Stats().BacklogMs)
		require.NoError(t, s.Close())
	})
}

func TestASlowRateFiresOneByOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, testutil.FastDir(t), paced(2))
		q := mustQueue(t, s, "a", 0)
		due := s.NowMs() + 1000
		for range 10 {
			mustPut(t, s, q, due, "x")
		}
		time.Sleep(7 * time.Second)
		synctest.Wait()
		require.EqualValues(t, 10, q.Max())
		require.NoError(t, s.Close())
	})
}

// After a forward step of the clock all that became due fires at the bounded
// rate, and a topic with little to fire need not wait for one with much.
func TestFloodAfterAForwardStepIsPacedAndFair(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, rate = 8000, 2000
		c := &stepClock{plainClock: newPlainClock(50 * time.Millisecond)}
		o := paced(rate)
		o.clock = c
		s := mustOpen(t, testutil.FastDir(t), o)
		heavy, light := mustQueue(t, s, "heavy", 0), mustQueue(t, s, "light", 0)
		base := s.NowMs() + 3*3600_000
		var ms []Message
		for i := range n {
			ms = append(ms, Message{Queue: heavy, FireMs: base + int64(i)*100, Payload: []byte("x")})
		}
		for i := range 20 {
			ms = append(ms, Message{Queue: light, FireMs: base + int64(i)*100_000, Payload: []byte("y")})
		}
		putMany(t, s, ms)
		c.step(6 * time.Hour)
		stepped := time.Now()
		for light.Max() < 20 {
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
			require.LessOrEqual(t, heavy.Max()+light.Max(), int64(float64(rate)*(time.Since(stepped).Seconds()+0.2)))
		}
		require.Less(t, heavy.Max(), int64(n*3/4), "what is light waits for the loader, not for what is heavy")
		require.EqualValues(t, 1, s.Stats().HeavyTopics)
		require.Positive(t, s.Stats().BehindMs)
		require.Positive(t, s.Stats().BacklogMs)
		time.Sleep(15 * time.Second)
		synctest.Wait()
		require.EqualValues(t, n, heavy.Max())
		require.Zero(t, s.Stats().HeavyTopics)
		require.NoError(t, s.Close())
	})
}

// fairLoad is a topic with a backlog and one without, with arrivals while the
// first is behind. The payload is "<fire ms> <number>".
func fairLoad(t *testing.T, s *Store) (total int) {
	heavy := []*Queue{mustQueue(t, s, "heavy", 0), mustQueue(t, s, "heavy", 1)}
	light := mustQueue(t, s, "light", 0)
	base := s.NowMs() + 2000
	var ms []Message
	put := func(q *Queue, fireMs int64) {
		ms = append(ms, Message{Queue: q, FireMs: fireMs, Payload: fmt.Appendf(nil, "%d %d", fireMs, total)})
		total++
	}
	for i := range 9000 {
		put(heavy[i%2], base+rand.Int64N(900))
	}
	for range 60 {
		put(light, base+rand.Int64N(5000))
	}
	putMany(t, s, ms)
	return total
}

func TestACrashInTheMiddleOfASplitLosesNothingAndFiresNothingTwice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const rate = 2000
		dir := testutil.FastDir(t)
		o := paced(rate)
		s := mustOpen(t, dir, o)
		total := fairLoad(t, s)
		base := time.Now().Add(2 * time.Second)
		resumed := false
		for step := range 12 {
			time.Sleep(time.Until(base.Add(time.Duration(step)*400*time.Millisecond + 10*time.Millisecond)))
			if step%3 == 1 {
				require.NoError(t, s.Checkpoint(t.Context()))
			}
			total += lateArrivals(t, s, total)
			if step%2 == 1 {
				resumed = crashTwice(t, copyStore(t, s, dir), total) || resumed
			}
		}
		require.True(t, resumed, "no image was one of a split")
		time.Sleep(10 * time.Second)
		synctest.Wait()
		requireAllOnceInOrder(t, s, total)
		require.NoError(t, s.Close())
	})
}

// lateArrivals puts messages of the heavy topic that are due before, among and
// after what waits of it.
func lateArrivals(t *testing.T, s *Store, number int) int {
	q := s.LookupQueue("heavy", 0)
	now := s.NowMs()
	var ms []Message
	for i, d := range []int64{-1500, 3, 40, 400} {
		ms = append(ms, Message{Queue: q, FireMs: max(now+d, now+1), Payload: fmt.Appendf(nil, "%d %d", max(now+d, now+1), number+i)})
	}
	putMany(t, s, ms)
	return len(ms)
}

func copyStore(t *testing.T, s *Store, dir string) string {
	t.Helper()
	copied := filepath.Join(testutil.FastDir(t), "image")
	s.catalog.view(func(*catalogState) { // no file is removed while the catalog stands still
		for _, part := range []string{manifestName, queueDir, indexDir, journalDir, logDir} {
			copyTree(t, filepath.Join(dir, part), filepath.Join(copied, part))
		}
	})
	return copied
}

// crashTwice opens an image, lets it fire for a while, and opens an image of that.
// It reports whether the first one was of a split.
func crashTwice(t *testing.T, dir string, total int) (split bool) {
	first := mustOpen(t, dir, paced(2000))
	recovered := first.mark()
	split = recovered.split()
	before := deliveries(t, first.LookupQueue("light", 0))
	time.Sleep(150 * time.Millisecond)
	require.NoError(t, first.Checkpoint(t.Context()))
	time.Sleep(50 * time.Millisecond)
	again := mustOpen(t, copyStore(t, first, dir), paced(2000))
	after := deliveries(t, again.LookupQueue("light", 0))
	require.Equal(t, before, append([]Delivery(nil), after[:len(before)]...))
	for _, s := range []*Store{first, again} {
		time.Sleep(15 * time.Second)
		synctest.Wait()
		requireAllOnceInOrder(t, s, total)
		require.NoError(t, s.Close())
	}
	return split
}

func requireAllOnceInOrder(t *testing.T, s *Store, total int) {
	t.Helper()
	require.Zero(t, s.Pending())
	require.Zero(t, s.Stats().HeavyTopics)
	seen := map[string]bool{}
	for _, q := range s.registry.all() {
		var last int64
		for _, p := range payloads(t, s, q) {
			require.False(t, seen[p], "%s fired twice", p)
			seen[p] = true
			fire, _, _ := strings.Cut(p, " ")
			ms, err := strconv.ParseInt(fire, 10, 64)
			require.NoError(t, err)
			require.GreaterOrEqual(t, ms, last, "queue %d of %s is out of order", q.ID(), q.Topic())
			last = ms
		}
	}
	require.Len(t, seen, total)
}

// Topics that are heavy share one cursor, in fire time: in a backlog all of them are
// equally late, whoever has how much, and what is light is not.
func TestHeavyTopicsAreEquallyLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const n, few, rate = 4000, 20, 5000
		c := &stepClock{plainClock: newPlainClock(50 * time.Millisecond)}
		o := paced(rate)
		o.clock = c
		s := mustOpen(t, testutil.FastDir(t), o)
		heavy := []*Queue{mustQueue(t, s, "a", 0), mustQueue(t, s, "b", 0), mustQueue(t, s, "c", 0)}
		light := mustQueue(t, s, "light", 0)
		base := s.NowMs() + 3*3600_000
		var ms []Message
		for _, q := range heavy { // one after the other: arrival does not count
			for i := range int64(n) {
				ms = append(ms, Message{Queue: q, FireMs: base + i*1000/n, Payload: []byte("x")})
			}
		}
		for i := range int64(few) {
			ms = append(ms, Message{Queue: light, FireMs: base + i*1000/few, Payload: []byte("y")})
		}
		putMany(t, s, ms)
		c.step(6 * time.Hour)
		for least, most := int64(0), int64(0); least < n; {
			time.Sleep(10 * time.Millisecond)
			synctest.Wait()
			least, most = n, 0
			for _, q := range heavy {
				least, most = min(least, q.Max()), max(most, q.Max())
			}
			require.LessOrEqual(t, most-least, int64(2*o.FireBatch), "one heavy topic is ahead of another")
			if most > n/2 {
				require.EqualValues(t, few, light.Max(), "a light topic waits for heavy ones")
			}
		}
		for _, q := range heavy {
			requireInOrder(t, q, n)
		}
		require.NoError(t, s.Close())
	})
}

// requireInOrder checks that a queue has n messages in the order of putting, which was
// that of their fire times.
func requireInOrder(t *testing.T, q *Queue, n int) {
	t.Helper()
	ds := make([]Delivery, n+1)
	got, err := q.Read(0, ds)
	require.NoError(t, err)
	require.Equal(t, n, got)
	for i := 1; i < n; i++ {
		require.Less(t, ds[i-1].Loc, ds[i].Loc, "slot %d", i)
	}
}
