package store

import (
	"context"
	"io/fs"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/internal/testutil"
)

const hours = int64(time.Hour / time.Millisecond)

// retentionOptions run in fake time, with a keeper that looks seldom enough for a year.
func retentionOptions() *Options {
	o := small(Options{clock: newPlainClock(time.Hour), keeperTick: 5 * time.Minute, horizon: 2 * time.Hour, CheckpointEvery: 24 * time.Hour})
	o.SegmentSize, o.DelaySegmentSize = 1<<20, 1<<20
	o.EvacuateAfter = -1 // what these tests say of lanes is for those whose messages stay
	return o
}

// logBytes is what the commit log of a store takes on disk; pool and journal are not counted.
func logBytes(t *testing.T, s *Store) int64 {
	t.Helper()
	total := int64(0)
	require.NoError(t, filepath.WalkDir(filepath.Join(s.dir, logDir), func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Sys().(*syscall.Stat_t).Blocks * 512
		}
		return err
	}))
	return total
}

// pass lets enough time go by for a flush, a checkpoint and the two passes that it
// takes until bytes are given back.
func pass(t *testing.T, s *Store) {
	t.Helper()
	require.NoError(t, s.Checkpoint(context.Background()))
	time.Sleep(16 * time.Minute)
	synctest.Wait()
}

func readable(s *Store, r Result) bool {
	v, err := s.Read(r.Loc, r.Size)
	v.Release()
	return err == nil
}

func TestScheduledForDay5IsGoneOnDay7WithItsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, testutil.FastDir(t), retentionOptions())
		q := mustQueue(t, s, "orders", 0)
		start := time.Now()
		r := mustPut(t, s, q, s.NowMs()+5*24*hours, "five days")
		time.Sleep(5*24*time.Hour + time.Second)
		synctest.Wait()
		require.Equal(t, []string{"five days"}, payloads(t, s, q))

		time.Sleep(time.Until(start.Add(7*24*time.Hour)) - time.Second)
		synctest.Wait()
		require.Equal(t, []string{"five days"}, payloads(t, s, q), "two days after its time, less a second")
		require.True(t, readable(s, r))
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.Empty(t, payloads(t, s, q), "at once, whenever the next pass is")

		pass(t, s)
		require.EqualValues(t, 1, q.Min())
		require.False(t, readable(s, r))
		require.Empty(t, s.lanes[3].log.Segments())
		require.Zero(t, logBytes(t, s))
		require.NoError(t, s.Close())
	})
}

func TestAnIdleBrokerKeepsNoBytesOfExpiredOrdinaryMessages(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, testutil.FastDir(t), retentionOptions())
		q := mustQueue(t, s, "orders", 0)
		mustPut(t, s, q, 0, "ordinary")
		mustPut(t, s, q, s.NowMs()+1000, "short delay")
		time.Sleep(72*time.Hour - time.Minute)
		synctest.Wait()
		require.Equal(t, []string{"ordinary"}, payloads(t, s, q), "the other one lived two days, though its slot comes later")
		require.NotZero(t, logBytes(t, s))
		time.Sleep(time.Minute)
		pass(t, s)
		require.Equal(t, q.Max(), q.Min())
		require.Zero(t, logBytes(t, s))
		require.EqualValues(t, 2, mustPut(t, s, q, 0, "the next").Slot)
		require.NoError(t, s.Close())
	})
}

// A message that waits long pins its own unit, not the file that it shares.
func TestBytesBesideALivingMessageAreGivenBackAndStayGoneAfterReopen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		o := retentionOptions()
		s := mustOpen(t, dir, o)
		q := mustQueue(t, s, "orders", 0)
		body := strings.Repeat("x", 1000)
		var short, long []Result
		for i := range 900 {
			fire := s.NowMs() + 24*5*hours
			if i%300 == 150 {
				fire = s.NowMs() + 24*300*hours
				long = append(long, mustPut(t, s, q, fire, body))
			} else {
				short = append(short, mustPut(t, s, q, fire, body))
			}
		}
		time.Sleep(7*24*time.Hour + time.Second)
		pass(t, s)
		before := int64(900 * 1100)
		check := func(s *Store) {
			if after := logBytes(t, s); after != 0 && after < 1<<20 { // else there are no holes here
				require.Less(t, after, before/2)
			}
			gone := 0
			for _, r := range short {
				if !readable(s, r) {
					gone++
				}
			}
			require.Greater(t, gone, 600)
			for _, r := range long {
				require.True(t, readable(s, r))
			}
			require.EqualValues(t, len(long), s.Pending())
		}
		check(s)

		killed := testutil.CopyDir(t, dir)
		require.NoError(t, s.Close())
		s = mustOpen(t, dir, o)
		check(s)
		require.NoError(t, s.Close())
		s = mustOpen(t, killed, o)
		check(s)

		time.Sleep(293 * 24 * time.Hour)
		synctest.Wait()
		require.Len(t, payloads(t, s, s.LookupQueue("orders", 0)), len(long))
		time.Sleep(48 * time.Hour)
		pass(t, s)
		require.Zero(t, logBytes(t, s))
		require.NoError(t, s.Close())
	})
}

// A damaged run is rebuilt from a log that has holes by now.
func TestRunIsRebuiltOverWhatWasGivenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		o := retentionOptions()
		s := mustOpen(t, dir, o)
		q := mustQueue(t, s, "orders", 0)
		for i := range 600 {
			fire := s.NowMs() + 24*5*hours
			if i%200 == 100 {
				fire = s.NowMs() + 24*300*hours
			}
			mustPut(t, s, q, fire, strings.Repeat("x", 1000))
		}
		time.Sleep(7*24*time.Hour + time.Second)
		pass(t, s)
		require.NotEmpty(t, s.catalog.state.laneGiven(3))
		require.NoError(t, s.Close())
		runs, err := filepath.Glob(filepath.Join(dir, indexDir, "3", "*.run"))
		require.NoError(t, err)
		require.NotEmpty(t, runs)
		testutil.FlipByte(t, runs[0], -10)

		s = mustOpen(t, dir, o)
		require.EqualValues(t, 3, s.Pending())
		time.Sleep(293 * 24 * time.Hour)
		synctest.Wait()
		require.Zero(t, s.Pending())
		require.Len(t, payloads(t, s, s.LookupQueue("orders", 0)), 3)
		require.NoError(t, s.Close())
	})
}

func TestRetentionBytesDropsTheOldestOrdinaryMessagesOnly(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := retentionOptions()
		o.RetentionBytes = 2 << 20
		s := mustOpen(t, testutil.FastDir(t), o)
		q, due := mustQueue(t, s, "orders", 0), mustQueue(t, s, "due", 0)
		body := strings.Repeat("x", 4000)
		pending := mustPut(t, s, due, s.NowMs()+2*hours, "pending")
		var fired Result
		for i := range 1500 {
			mustPut(t, s, q, 0, body)
			if i == 3 {
				fired = mustPut(t, s, due, s.NowMs()+1, "fired")
				time.Sleep(time.Second)
			}
		}
		pass(t, s)
		time.Sleep(70 * time.Minute) // the memtable is flushed, and the mark moves as seldom as the clock of this test looks
		pass(t, s)
		kept := q.Max() - q.Min()
		require.InDelta(t, (2<<20)/4100, kept, 40)
		require.Len(t, payloads(t, s, q), int(kept))
		require.Less(t, logBytes(t, s), int64(5<<20), "of 6 MiB, and one in reserve")
		require.True(t, readable(s, pending))
		require.True(t, readable(s, fired))
		require.EqualValues(t, 1, s.Pending())

		time.Sleep(time.Hour)
		synctest.Wait()
		require.Equal(t, []string{"fired", "pending"}, payloads(t, s, due))
		cutoff := s.sizeCutoff.Load()
		require.NoError(t, s.Close())
		s = mustOpen(t, s.dir, o)
		require.Equal(t, cutoff, s.sizeCutoff.Load(), "before the first pass")
		require.NoError(t, s.Close())
	})
}

// A message that fires a little late is kept from then on, its bytes included.
func TestBytesAreThereAsLongAsTheSlotOfAMessageThatFiredALittleLate(t *testing.T) {
	ctx := context.Background()
	start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	clock := NewManualClock(start)
	s := mustOpen(t, testutil.FastDir(t), small(Options{Clock: clock}))
	q := mustQueue(t, s, "orders", 0)
	mustPut(t, s, q, start.UnixMilli()+1000, "late")
	to := func(ms int64) {
		clock.Advance(time.UnixMilli(start.UnixMilli() + ms))
		require.NoError(t, s.Settle(ctx))
		require.NoError(t, s.Maintain(ctx))
	}
	to(1000 + lateSlack - 1)
	for ms := int64(1000 + 48*hours); ms < 1000+lateSlack-1+48*hours; ms += 1000 {
		to(ms)
		require.Equal(t, []string{"late"}, payloads(t, s, q))
	}
	to(1000 + lateSlack - 1 + 48*hours)
	require.Empty(t, payloads(t, s, q))
	require.NoError(t, s.Close())
}

// The same of messages in a cold file, all of it or its beginning.
func TestColdBytesAreThereAsLongAsTheSlotOfAMessageThatFiredALittleLate(t *testing.T) {
	ctx := context.Background()
	const late, fire = 6, 24 * 5 * hours
	r := rand.New(rand.NewPCG(1, 1))
	for _, lateMs := range []int64{lateSlack - 1, lateSlack + 1, 50_000, 70_000} {
		for _, later := range []int{0, 6} {
			start := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
			clock := NewManualClock(start)
			s := mustOpen(t, testutil.FastDir(t), small(Options{Clock: clock}))
			q := mustQueue(t, s, "orders", 0)
			for i := range late + later {
				body := make([]byte, 15_000) // a block for each
				for i := range body {
					body[i] = byte(r.Uint32())
				}
				mustPut(t, s, q, start.UnixMilli()+fire+int64(i/late)*24*30*hours, string(body))
			}
			to := func(ms int64) {
				clock.Advance(time.UnixMilli(start.UnixMilli() + ms))
				require.NoError(t, s.Settle(ctx))
				require.NoError(t, s.Maintain(ctx))
			}
			to(7 * hours)
			require.EqualValues(t, late+later, s.cold.files.Usage().Records)
			to(fire + lateMs)
			gone := fire + 48*hours + lateMs
			for ms := fire + 48*hours; ms < gone; ms += 1000 {
				to(ms)
				require.Len(t, payloads(t, s, q), late, "%d ms late", lateMs)
			}
			to(gone + lateSlack + retentionEvery.Milliseconds())
			require.Less(t, s.cold.files.Usage().Bytes, int64(later*15_000+64<<10), "and no longer")
			require.NoError(t, s.Close())
		}
	}
}

// What fires late lives from then on: downtime must not take the two days away.
func TestLateMessagesLiveTheirTimeFromTheFiring(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		o := retentionOptions()
		s := mustOpen(t, dir, o)
		q := mustQueue(t, s, "orders", 0)
		mustPut(t, s, q, s.NowMs()+24*hours, "late")
		require.NoError(t, s.Close())
		time.Sleep(10 * 24 * time.Hour)
		s = mustOpen(t, dir, o)
		q = s.LookupQueue("orders", 0)
		time.Sleep(47 * time.Hour)
		synctest.Wait()
		require.Equal(t, []string{"late"}, payloads(t, s, q))
		time.Sleep(time.Hour)
		pass(t, s)
		require.Empty(t, payloads(t, s, q))
		require.Zero(t, logBytes(t, s))
		require.NoError(t, s.Close())
	})
}

func TestDeathsAreThoseOfTheLatestMessageInEachUnit(t *testing.T) {
	const u = commitlog.GiveBackUnit
	d := newDeaths()
	d.segmentSize = 8 * u
	d.note(8*u, 8*u+100, unit{fireSec: 5})
	d.note(8*u+100, 11*u+1, unit{storeSec: 7})
	dead := func(now uint32) []commitlog.Range {
		return d.dead(8*u, 12*u, func(x unit, _ int64) bool { return x.fireSec <= now && x.storeSec <= now })
	}
	require.Empty(t, dead(6))
	require.Equal(t, []commitlog.Range{{From: 8 * u, To: 12 * u}}, dead(7))
	d.keepFor(9*u-1, 9*u+1, 8001)
	require.Equal(t, []commitlog.Range{{From: 10 * u, To: 12 * u}}, dead(8))
	d.gone(commitlog.Range{From: 10 * u, To: 12 * u})
	require.Empty(t, dead(8))
	require.Equal(t, []commitlog.Range{{From: 8 * u, To: 10 * u}}, dead(9))
	require.Empty(t, d.dead(8*u, 9*u-1, func(unit, int64) bool { return true }), "not beyond the limit")

	d.found([]commitlog.SegmentInfo{{Base: 16 * u, End: 17*u + 5, MaxFireMs: 1, MaxStoreMs: 1}}, nil)
	require.True(t, d.quiet(8*u, 1<<50), "it is not there")
	d.note(17*u+5, 17*u+10, unit{storeSec: 9})
	d.note(18*u, 18*u+1, unit{storeSec: 2})
	all := func(at uint32) []commitlog.Range {
		return d.dead(16*u, 24*u, func(x unit, _ int64) bool { return x.fireSec <= at && x.storeSec <= at })
	}
	require.Equal(t, []commitlog.Range{{From: 16 * u, To: 17 * u}, {From: 18 * u, To: 19 * u}}, all(8))
	require.Equal(t, []commitlog.Range{{From: 16 * u, To: 19 * u}}, all(9))
	require.False(t, d.quiet(16*u, 0))
	d.setQuiet(16*u, 100)
	require.True(t, d.quiet(16*u, 99))
	require.False(t, d.quiet(16*u, 100))
	d.note(19*u, 19*u+1, unit{storeSec: 2})
	require.False(t, d.quiet(16*u, 99), "something was written")
	d.removed(16 * u)
	require.True(t, d.quiet(16*u, 1<<50))
	require.Empty(t, all(9))
}
