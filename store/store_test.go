package store

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/internal/testutil"
)

func TestMain(m *testing.M) {
	switch {
	case os.Getenv(crashChildEnv) != "":
		crashChild()
		return
	case os.Getenv(fillEnv) != "":
		fillChild()
	}
	goleak.VerifyTestMain(m)
}

// small keeps the files of a test store small, so that rolling, flushing and
// recycling happen within a few messages.
func small(o Options) *Options {
	o.SegmentSize, o.DelaySegmentSize, o.JournalSegmentSize = 256<<10, 256<<10, 256<<10
	setDefault(&o.FireBatch, 1000)
	setDefault(&o.NearEntries, 4096)
	return &o
}

func mustOpen(t testing.TB, dir string, o *Options) *Store {
	t.Helper()
	s, err := Open(dir, o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = s.Close() })
	return s
}

func mustQueue(t testing.TB, s *Store, topic string, id int32) *Queue {
	t.Helper()
	q, err := s.Queue(topic, id)
	require.NoError(t, err)
	return q
}

func mustPut(t testing.TB, s *Store, q *Queue, fireMs int64, payload string) Result {
	t.Helper()
	r, err := s.Put(context.Background(), &Message{Queue: q, FireMs: fireMs, Tag: 7, Payload: []byte(payload)})
	require.NoError(t, err)
	return r
}

// awaitMax returns when q has n visible slots.
func awaitMax(t testing.TB, q *Queue, n int64) {
	t.Helper()
	w := make(chanWatcher, 1)
	if q.Watch(n-1, w) {
		<-w
	}
}

type chanWatcher chan struct{}

func (w chanWatcher) Wake() { w <- struct{}{} }

// payloads reads all visible messages of q that are not void.
func payloads(t testing.TB, s *Store, q *Queue) []string {
	t.Helper()
	var out []string
	for _, d := range deliveries(t, q) {
		v, err := s.Read(d.Loc, d.Size)
		require.NoError(t, err)
		out = append(out, string(v.Bytes()))
		v.Release()
	}
	return out
}

func deliveries(t testing.TB, q *Queue) []Delivery {
	t.Helper()
	var out []Delivery
	buf := make([]Delivery, 100)
	for from := q.Min(); from < q.Max(); {
		n, err := q.Read(from, buf)
		require.NoError(t, err)
		require.NotZero(t, n)
		for _, d := range buf[:n] {
			if !d.Void {
				out = append(out, d)
			}
		}
		from = buf[n-1].Slot + 1
	}
	return out
}

func TestMessageWithoutFireTimeIsVisibleWhenPutReturns(t *testing.T) {
	s := mustOpen(t, testutil.FastDir(t), small(Options{}))
	q := mustQueue(t, s, "orders", 3)
	r := mustPut(t, s, q, 0, "one")
	require.EqualValues(t, 0, r.Slot)
	require.EqualValues(t, 1, mustPut(t, s, q, s.NowMs()-5000, "past").Slot)
	require.Equal(t, []string{"one", "past"}, payloads(t, s, q))
	d := deliveries(t, q)[0]
	require.Equal(t, Delivery{Slot: 0, Loc: r.Loc, Size: 3, Tag: 7, DeliverMs: r.StoreMs}, d)
}

func TestScheduledMessageIsNotVisibleBeforeItsTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, testutil.FastDir(t), small(Options{clock: newPlainClock(time.Hour), keeperTick: time.Hour, horizon: 12 * time.Hour}))
		q := mustQueue(t, s, "orders", 0)
		for _, delay := range []time.Duration{time.Millisecond, 999 * time.Millisecond, 3 * time.Second, 89 * time.Second, 3 * time.Hour, 30 * time.Hour, 365 * 24 * time.Hour} {
			due := time.Now().Add(delay).UnixMilli()
			before := q.Max()
			require.EqualValues(t, -1, mustPut(t, s, q, due, "x").Slot)
			time.Sleep(time.Until(time.UnixMilli(due)) - time.Microsecond)
			synctest.Wait()
			require.Equal(t, before, q.Max(), "delay %v: early", delay)
			time.Sleep(3 * time.Millisecond)
			synctest.Wait()
			require.Equal(t, before+1, q.Max(), "delay %v: late", delay)
		}
		require.Zero(t, s.Pending())
		require.NoError(t, s.Close())
	})
}

func TestTooFarAheadIsRefusedAndStoresNothing(t *testing.T) {
	s := mustOpen(t, testutil.FastDir(t), small(Options{}))
	q := mustQueue(t, s, "orders", 0)
	_, err := s.Put(context.Background(), &Message{Queue: q, FireMs: s.NowMs() + (367 * 24 * time.Hour).Milliseconds()})
	require.ErrorIs(t, err, ErrTooFar)
	require.Zero(t, s.Pending())
	require.Zero(t, s.lanes[3].log.Tail())
}

func TestOrderIsFireTimeThenArrivalAcrossLanes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, testutil.FastDir(t), small(Options{clock: newPlainClock(time.Hour), keeperTick: time.Hour, horizon: 12 * time.Hour}))
		q := mustQueue(t, s, "orders", 0)
		due := time.Now().Add(100 * time.Hour).UnixMilli()
		var want []string
		put := func(n int) {
			for i := range n {
				p := fmt.Sprintf("%v-%d", time.Until(time.UnixMilli(due)), i)
				want = append(want, p)
				mustPut(t, s, q, due, p)
			}
		}
		for _, left := range []time.Duration{100 * time.Hour, 50 * time.Hour, 20 * time.Hour, time.Hour, 30 * time.Second, 500 * time.Millisecond} {
			time.Sleep(time.Until(time.UnixMilli(due)) - left)
			put(3)
		}
		mustPut(t, s, q, due-1, "first")
		mustPut(t, s, q, due+1, "last")
		want = append(append([]string{"first"}, want...), "last")
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, want, payloads(t, s, q))
		require.NoError(t, s.Close())
	})
}

func TestReopenKeepsWhatIsPendingAndWhatWasDelivered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		o := small(Options{clock: newPlainClock(time.Hour), keeperTick: time.Hour, horizon: 12 * time.Hour})
		s := mustOpen(t, dir, o)
		q := mustQueue(t, s, "orders", 0)
		mustPut(t, s, q, 0, "now")
		mustPut(t, s, q, s.NowMs()+50, "soon")
		mustPut(t, s, q, s.NowMs()+time.Hour.Milliseconds(), "later")
		mustPut(t, s, q, s.NowMs()+(300*time.Hour).Milliseconds(), "far")
		time.Sleep(time.Second)
		require.NoError(t, s.Close())
		require.ErrorIs(t, s.PutAsync(&Message{Queue: q}, nil, 0), ErrClosed)

		time.Sleep(2 * time.Hour) // "later" comes due while nobody is there
		s = mustOpen(t, dir, o)
		q = s.LookupQueue("orders", 0)
		time.Sleep(time.Second)
		synctest.Wait()
		require.Equal(t, []string{"now", "soon", "later"}, payloads(t, s, q))
		require.EqualValues(t, 1, s.Pending())
		time.Sleep(300 * time.Hour)
		synctest.Wait()
		require.Contains(t, payloads(t, s, q), "far")
		require.NoError(t, s.Close())
	})
}

func TestSecondProcessIsToldWhoHasTheStore(t *testing.T) {
	dir := testutil.FastDir(t)
	mustOpen(t, dir, small(Options{}))
	_, err := Open(dir, small(Options{}))
	var locked *LockedError
	require.ErrorAs(t, err, &locked)
	require.Equal(t, os.Getpid(), locked.PID)
	require.ErrorContains(t, err, strconv.Itoa(os.Getpid()))
}

func TestDeletedTopicTakesItsQueuesAndPendingMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		o := small(Options{clock: newPlainClock(time.Hour), keeperTick: time.Hour, horizon: 12 * time.Hour})
		s := mustOpen(t, dir, o)
		q := mustQueue(t, s, "gone", 0)
		mustPut(t, s, q, 0, "x")
		mustPut(t, s, q, s.NowMs()+1000, "y")
		w := make(chanWatcher, 1)
		require.True(t, q.Watch(1, w))
		require.NoError(t, s.DeleteTopic("gone"))
		<-w
		require.ErrorIs(t, s.PutAsync(&Message{Queue: q}, nil, 0), ErrQueueDeleted)
		require.Nil(t, s.LookupQueue("gone", 0))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Zero(t, s.Pending())
		again := mustQueue(t, s, "gone", 0)
		require.NotEqual(t, q.id, again.id)
		require.Zero(t, again.Max())
		require.NoError(t, s.Close())
	})
}

func TestRetentionGivesSegmentsBackWhenAllInThemIsDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		s := mustOpen(t, dir, small(Options{clock: newPlainClock(time.Hour), keeperTick: time.Hour, horizon: 12 * time.Hour}))
		q := mustQueue(t, s, "orders", 0)
		fill := func(fireMs int64) {
			for range 1200 {
				mustPut(t, s, q, fireMs, string(make([]byte, 1000)))
			}
		}
		fill(0)
		fill(s.NowMs() + time.Hour.Milliseconds())
		last := mustPut(t, s, q, 0, "last")
		n := len(s.lanes[0].log.Segments())
		require.Greater(t, n, 8)

		time.Sleep(46 * time.Hour) // within the retention of all
		require.NoError(t, s.Checkpoint(context.Background()))
		require.Len(t, s.lanes[0].log.Segments(), n)
		time.Sleep(6 * time.Hour) // scheduled ones are dead, ordinary ones are not
		require.Less(t, len(s.lanes[0].log.Segments()), n)
		v, err := s.Read(last.Loc, last.Size)
		require.NoError(t, err)
		v.Release()

		time.Sleep(48 * time.Hour)
		require.LessOrEqual(t, len(s.lanes[0].log.Segments()), 1)
		require.Equal(t, q.Max(), q.Min())
		require.NoError(t, s.Close())
	})
}

func TestHotSecondBeyondTheWheelIsStreamedInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, testutil.FastDir(t), small(Options{clock: newPlainClock(time.Hour), NearEntries: 1024}))
		q := mustQueue(t, s, "hot", 0)
		base := time.Now().Add(200 * time.Second).Truncate(time.Second).UnixMilli()
		const n = 5000
		for i := range n {
			mustPut(t, s, q, base+rand.Int64N(1000), strconv.Itoa(i))
		}
		time.Sleep(150 * time.Second)
		for i := range 100 {
			mustPut(t, s, q, base+rand.Int64N(1000), strconv.Itoa(n+i))
		}
		time.Sleep(60 * time.Second)
		synctest.Wait()
		require.EqualValues(t, n+100, q.Max())
		require.Zero(t, s.Pending())
		require.NoError(t, s.Close())
	})
}

func TestOnlyOneFirePerMessageUnderLoadAndFlushes(t *testing.T) {
	t.Parallel()
	s := mustOpen(t, testutil.FastDir(t), small(Options{MemtableEntries: 500, CheckpointEvery: 200 * time.Millisecond}))
	q := mustQueue(t, s, "orders", 0)
	const n = 3000
	c := make(countdown, n)
	for i := range n {
		m := Message{Queue: q, FireMs: s.NowMs() + rand.Int64N(1500), Payload: []byte(strconv.Itoa(i))}
		require.NoError(t, s.PutAsync(&m, c, 0))
	}
	c.wait(t, n)
	awaitMax(t, q, n)
	seen := map[string]bool{}
	for _, p := range payloads(t, s, q) {
		require.False(t, seen[p], "%s fired twice", p)
		seen[p] = true
	}
	require.Len(t, seen, n)
	var last int64
	for _, d := range deliveries(t, q) {
		if !d.Scheduled {
			continue // came when its time had passed, and has the time of its frame
		}
		require.GreaterOrEqual(t, d.DeliverMs, last)
		last = d.DeliverMs
	}
	require.EqualValues(t, n, q.Max())
	require.Zero(t, s.Pending())
}

// countdown is a Completer that counts.
type countdown chan error

func (c countdown) PutDone(_ uint64, _ Result, err error) { c <- err }

func (c countdown) wait(t testing.TB, n int) {
	t.Helper()
	for range n {
		require.NoError(t, <-c)
	}
}

func TestReadAtFindsTheRecordAndNothingOutsideTheLog(t *testing.T) {
	s := mustOpen(t, testutil.FastDir(t), small(Options{}))
	q := mustQueue(t, s, "orders", 0)
	r := mustPut(t, s, q, 0, "body")
	v, err := s.ReadAt(r.Loc)
	require.NoError(t, err)
	require.Equal(t, "body", string(v.Bytes()))
	v.Release()
	for _, loc := range []commitlog.Loc{0, r.Loc + 1<<40, commitlog.MakeLoc(9, 0), ^commitlog.Loc(0)} {
		_, err := s.ReadAt(loc)
		require.ErrorIs(t, err, ErrNotFound, "loc %#x", uint64(loc))
	}
}

func TestDamagedManifestIsAnErrorThatNamesIt(t *testing.T) {
	dir := testutil.FastDir(t)
	s := mustOpen(t, dir, small(Options{}))
	for i := range int32(20) {
		mustQueue(t, s, "orders", i)
	}
	require.NoError(t, s.Close())
	path := filepath.Join(dir, manifestName)
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	b[len(b)/2] ^= 0x40
	require.NoError(t, os.WriteFile(path, b, 0o644))
	_, err = Open(dir, small(Options{}))
	require.ErrorContains(t, err, path)
	require.False(t, errors.Is(err, os.ErrNotExist))
}

func TestMissingManifestIsNotTakenForANewStore(t *testing.T) {
	dir := testutil.FastDir(t)
	s := mustOpen(t, dir, small(Options{}))
	mustPut(t, s, mustQueue(t, s, "orders", 0), 0, "x")
	require.NoError(t, s.Close())
	require.NoError(t, os.Remove(filepath.Join(dir, manifestName)))
	_, err := Open(dir, small(Options{}))
	require.ErrorContains(t, err, "MANIFEST")
}

func TestDamagedRunIsRebuiltFromTheLog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		o := small(Options{clock: newPlainClock(time.Hour), keeperTick: time.Hour, horizon: 12 * time.Hour})
		s := mustOpen(t, dir, o)
		q := mustQueue(t, s, "orders", 0)
		for i := range 50 {
			mustPut(t, s, q, s.NowMs()+3600_000+int64(i), strconv.Itoa(i))
		}
		require.NoError(t, s.Close())
		runs, err := filepath.Glob(filepath.Join(dir, indexDir, "0", "*.run"))
		require.NoError(t, err)
		require.Len(t, runs, 1)
		b, err := os.ReadFile(runs[0])
		require.NoError(t, err)
		b[len(b)-10] ^= 1
		require.NoError(t, os.WriteFile(runs[0], b, 0o644))

		s = mustOpen(t, dir, o)
		require.EqualValues(t, 50, s.Pending())
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		require.Len(t, payloads(t, s, s.LookupQueue("orders", 0)), 50)
		require.NoError(t, s.Close())
	})
}
