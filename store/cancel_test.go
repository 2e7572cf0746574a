package store

import (
	"encoding/hex"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/internal/testutil"
)

func TestCancelledMessageNeverBecomesVisible(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, testutil.FastDir(t), small(Options{clock: newPlainClock(time.Hour), keeperTick: time.Hour, horizon: 12 * time.Hour}))
		q := mustQueue(t, s, "orders", 0)
		for _, delay := range []time.Duration{time.Second, time.Minute, time.Hour, 30 * time.Hour} {
			due := s.NowMs() + delay.Milliseconds()
			mustPut(t, s, q, due, "before "+delay.String())
			gone := mustPut(t, s, q, due, "gone")
			mustPut(t, s, q, due, "after "+delay.String())
			require.NoError(t, s.Cancel(gone.Loc))
			require.NoError(t, s.Cancel(gone.Loc), "it is cancelled")
			st, err := s.State(gone.Loc)
			require.NoError(t, err)
			require.True(t, st.Cancelled && !st.Pending)
		}
		require.EqualValues(t, 8, s.Pending())
		require.EqualValues(t, 4, s.Stats().Cancelled)
		time.Sleep(31 * time.Hour)
		synctest.Wait()
		require.Len(t, payloads(t, s, q), 8)
		require.NotContains(t, payloads(t, s, q), "gone")
		require.Zero(t, s.Pending())
		require.NoError(t, s.Close())
	})
}

func TestCancelTellsTooLateFromUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, testutil.FastDir(t), small(Options{clock: newPlainClock(time.Hour)}))
		q := mustQueue(t, s, "orders", 0)
		fired := mustPut(t, s, q, s.NowMs()+1000, "fired")
		now := mustPut(t, s, q, 0, "now")
		time.Sleep(2 * time.Second)
		synctest.Wait()
		require.ErrorIs(t, s.Cancel(fired.Loc), ErrTooLate)
		require.ErrorIs(t, s.Cancel(now.Loc), ErrTooLate)
		require.ErrorIs(t, s.Cancel(commitlog.MakeLoc(0, 1<<40)), ErrNotFound)
		require.ErrorIs(t, s.Cancel(commitlog.MakeLoc(77, 100)), ErrNotFound)
		require.NoError(t, s.Close())
		require.ErrorIs(t, s.Cancel(fired.Loc), ErrClosed)
	})
}

func TestCancellationSurvivesACrashAtOnceAndAfterFlushes(t *testing.T) {
	opts := small(Options{MemtableEntries: 1 << 20})
	s := mustOpen(t, testutil.FastDir(t), opts)
	q := mustQueue(t, s, "orders", 0)
	want := 0
	for round := range 6 {
		for i := range 6 {
			r := mustPut(t, s, q, s.NowMs()+1500, fmt.Sprint("kept ", round, i))
			if i%2 == 0 {
				if err := s.Cancel(r.Loc); err == nil {
					continue
				} else {
					require.ErrorIs(t, err, ErrTooLate) // a machine that is that slow
				}
			}
			want++
		}
		if round%2 == 0 {
			flushNow(t, s)
		}
		s = openCrashed(t, s)
		q = mustQueue(t, s, "orders", 0)
	}
	awaitMax(t, q, int64(want))
	require.NoError(t, s.Close())
	s = mustOpen(t, s.dir, opts)
	require.Len(t, payloads(t, s, mustQueue(t, s, "orders", 0)), want)
	require.Zero(t, s.Pending())
}

// TestRacingCancellationsAreToldTheTruth cancels messages around the moment at
// which they are due, then looks who was delivered, also by a crash image.
func TestRacingCancellationsAreToldTheTruth(t *testing.T) {
	s := mustOpen(t, testutil.FastDir(t), small(Options{CheckpointEvery: 50 * time.Millisecond}))
	q := mustQueue(t, s, "orders", 0)
	const n = 600
	locs := make(locations, n)
	stored := make(countdown, n)
	due := s.NowMs() + 300
	for i := range locs {
		m := Message{Queue: q, FireMs: due + int64(i*7%300), Payload: []byte(fmt.Sprint(i))}
		require.NoError(t, s.PutAsync(&m, locator{locs, stored}, uint64(i)))
	}
	stored.wait(t, n)
	results := make([]error, n)
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < n; i += 8 {
				results[i] = s.Cancel(locs[i])
			}
		})
	}
	wg.Wait()
	late := int64(0)
	for i, err := range results {
		if err != nil {
			require.ErrorIs(t, err, ErrTooLate, "message %d", i)
			late++
		}
	}
	s = openCrashed(t, s)
	q = mustQueue(t, s, "orders", 0)
	awaitMax(t, q, late)
	awaitDrained(t, s)
	got := map[string]int{}
	for _, p := range payloads(t, s, q) {
		got[p]++
	}
	for i, err := range results {
		require.Equal(t, err != nil, got[fmt.Sprint(i)] == 1, "message %d: %v, delivered %d times", i, err, got[fmt.Sprint(i)])
	}
}

type locations []commitlog.Loc

// locator notes where messages went.
type locator struct {
	locations
	countdown
}

func (l locator) PutDone(cookie uint64, r Result, err error) {
	l.locations[cookie] = r.Loc
	l.countdown.PutDone(cookie, r, err)
}

// TestMessageThatIsTakenWhileItsCancellationIsWrittenFires steps through the race
// that TestRacingCancellationsAreToldTheTruth may miss.
func TestMessageThatIsTakenWhileItsCancellationIsWrittenFires(t *testing.T) {
	c := newCancels()
	loc := commitlog.MakeLoc(1, 500)
	batch := []delayindex.Entry{{When: delayindex.MakeWhen(1000, 0), Loc: uint64(loc)}, {When: delayindex.MakeWhen(900, 0), Loc: 7}}
	mine, wait, err := c.begin(loc, 1000)
	require.NoError(t, err)
	require.Nil(t, wait)
	other, wait, err := c.begin(loc, 1000)
	require.NoError(t, err)
	require.Nil(t, other)
	require.NotNil(t, wait, "the second one waits for the first")
	require.False(t, c.has(loc))
	require.Len(t, c.sift(batch), 2, "not durable, so it fires")
	require.True(t, c.settle(loc, mine, nil))
	<-wait.done
	_, _, err = c.begin(loc, 1000)
	require.ErrorIs(t, err, ErrTooLate)

	mine, _, err = c.begin(8, 1001)
	require.NoError(t, err)
	require.False(t, c.settle(8, mine, nil))
	require.Empty(t, c.sift([]delayindex.Entry{{When: delayindex.MakeWhen(1001, 0), Loc: 8}}))

	mine, _, err = c.begin(9, 1002)
	require.NoError(t, err)
	require.False(t, c.settle(9, mine, errors.New("no disk")))
	require.Len(t, c.sift([]delayindex.Entry{{When: delayindex.MakeWhen(1002, 0), Loc: 9}}), 1)
}

func TestRevokedCancellationDoesNotComeBack(t *testing.T) {
	s := mustOpen(t, testutil.FastDir(t), small(Options{}))
	q := mustQueue(t, s, "orders", 0)
	r := mustPut(t, s, q, s.NowMs()+3_600_000, "x")
	it, err := s.recordHeader(r.Loc)
	require.NoError(t, err)
	require.NoError(t, s.writeCancel(&it, r.Loc, cancelled))
	s = openCrashed(t, s)
	require.True(t, s.cancels.has(r.Loc))
	require.NoError(t, s.writeCancel(&it, r.Loc, revoked))
	s = openCrashed(t, s)
	require.False(t, s.cancels.has(r.Loc))
	require.EqualValues(t, 1, s.Pending())
}

func TestCancelLogIsCompactedAndForgotten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		opts := small(Options{clock: newPlainClock(time.Hour), keeperTick: time.Hour, horizon: 12 * time.Hour})
		opts.JournalSegmentSize = 64 << 10 // the cancel log's are not larger
		opts.EvacuateAfter = -1            // it would end the message and its cancellation
		s := mustOpen(t, testutil.FastDir(t), opts)
		q := mustQueue(t, s, "orders", 0)
		far := mustPut(t, s, q, s.NowMs()+1000*time.Hour.Milliseconds(), "far")
		require.NoError(t, s.Cancel(far.Loc))
		for range 1500 { // 65 bytes each
			r := mustPut(t, s, q, s.NowMs()+time.Hour.Milliseconds(), "near")
			require.NoError(t, s.Cancel(r.Loc))
		}
		require.Greater(t, len(s.cancelLog.Segments()), 1)
		base := s.cancelLog.Segments()[0].Base
		time.Sleep(60 * time.Hour) // due, and past retention
		synctest.Wait()
		require.True(t, s.cancels.has(far.Loc))
		require.Len(t, s.cancels.byLoc, 1)
		require.Len(t, s.cancelLog.Segments(), 1)
		require.Greater(t, s.cancelLog.Segments()[0].Base, base)
		require.Empty(t, payloads(t, s, q))
		s = openCrashed(t, s)
		require.True(t, s.cancels.has(far.Loc))
		require.NoError(t, s.Close())
	})
}

// TestNothingIsSaidOfACancelledMessagePastItsRetention: its bytes may stay for longer,
// beside those of others, but it is forgotten that it was cancelled.
func TestNothingIsSaidOfACancelledMessagePastItsRetention(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, testutil.FastDir(t), small(Options{clock: newPlainClock(time.Hour), keeperTick: time.Minute}))
		q := mustQueue(t, s, "orders", 0)
		gone := mustPut(t, s, q, s.NowMs()+time.Minute.Milliseconds(), "gone")
		mustPut(t, s, q, 0, "stays for three days")
		require.NoError(t, s.Cancel(gone.Loc))
		time.Sleep(47 * time.Hour)
		synctest.Wait()
		require.NoError(t, s.Cancel(gone.Loc), "it is cancelled")
		time.Sleep(3 * time.Hour)
		synctest.Wait()
		require.False(t, s.cancels.has(gone.Loc))
		_, err := s.ReadAt(gone.Loc)
		require.NoError(t, err)
		require.ErrorIs(t, s.Cancel(gone.Loc), ErrNotFound)
		require.NoError(t, s.Close())
	})
}

func TestCancelsAreBounded(t *testing.T) {
	c := newCancels()
	for i := range maxCancelled {
		c.byLoc[commitlog.Loc(i)] = cancellation{}
	}
	_, _, err := c.begin(maxCancelled, 1)
	require.ErrorIs(t, err, ErrTooMany)
}

func TestCancelPayloadIsGolden(t *testing.T) {
	b := appendCancelPayload(nil, commitlog.MakeLoc(3, 0x1234), revoked)
	require.Equal(t, "341200000000000301", hex.EncodeToString(b))
	loc, kind, err := parseCancelPayload(b)
	require.NoError(t, err)
	require.Equal(t, commitlog.MakeLoc(3, 0x1234), loc)
	require.EqualValues(t, revoked, kind)
}

func FuzzCancelPayload(f *testing.F) {
	f.Add(appendCancelPayload(nil, 1, cancelled))
	f.Add([]byte{1, 2, 3})
	f.Fuzz(func(t *testing.T, b []byte) {
		loc, kind, err := parseCancelPayload(b)
		if err != nil {
			require.ErrorIs(t, err, errCancel)
			return
		}
		require.Equal(t, b, appendCancelPayload(nil, loc, kind))
	})
}
