package store

import (
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/testutil"
)

// bodiesOf reads what PendingAfter yields.
func bodiesOf(t *testing.T, s *Store, after PendingPosition, toMs int64, limit int) (bodies []string, last PendingPosition) {
	t.Helper()
	for m, err := range s.PendingAfter(after, toMs) {
		require.NoError(t, err)
		v, err := s.Read(m.Loc, m.Size)
		require.NoError(t, err)
		bodies = append(bodies, string(v.Bytes()))
		v.Release()
		last = m.Position()
		if len(bodies) == limit {
			break
		}
	}
	return bodies, last
}

// spread schedules messages over all lanes, several to a millisecond, and returns
// their bodies in the order in which they fire.
func spread(t *testing.T, s *Store, q *Queue, n int) []string {
	now := s.NowMs()
	var bodies []string
	for _, d := range []time.Duration{time.Minute, time.Hour, 20 * time.Hour, 60 * time.Hour, 300 * 24 * time.Hour} {
		for i := range n {
			body := fmt.Sprintf("%v-%d", d, i)
			mustPut(t, s, q, now+d.Milliseconds()+int64(i/3), body)
			bodies = append(bodies, body)
		}
	}
	return bodies
}

func TestPendingMessagesAreListedInTheOrderTheyFire(t *testing.T) {
	s := mustOpen(t, testutil.FastDir(t), small(Options{}))
	defer s.Close()
	q := mustQueue(t, s, "t", 0)
	want := spread(t, s, q, 10)
	got, _ := bodiesOf(t, s, PendingPosition{}, noDeadline, -1)
	require.Equal(t, want, got)

	for _, page := range []int{1, 2, 7} { // pages that end in the middle of a millisecond lose nothing
		var paged []string
		var at PendingPosition
		for {
			bodies, last := bodiesOf(t, s, at, noDeadline, page)
			if len(bodies) == 0 {
				break
			}
			paged, at = append(paged, bodies...), last
		}
		require.Equal(t, want, paged)
	}
	some, _ := bodiesOf(t, s, PendingPosition{FireMs: s.NowMs() + time.Minute.Milliseconds() + 1}, s.NowMs()+25*time.Hour.Milliseconds(), -1)
	require.Subset(t, want[:30], some)
	require.Subset(t, some, want[10:30])
}

func TestPendingMessagesAreCountedInRunsAndMemory(t *testing.T) {
	s := mustOpen(t, testutil.FastDir(t), small(Options{}))
	defer s.Close()
	q := mustQueue(t, s, "t", 0)
	base := (s.NowMs()/60_000 + 10) * 60_000
	for i := range 50 {
		mustPut(t, s, q, base+int64(i)*1000, "m")
	}
	flushAll(t, s)
	for i := range 50 {
		mustPut(t, s, q, base+int64(i)*1000+999, "m")
	}
	counts, err := s.PendingHistogram(base, 10_000, 6)
	require.NoError(t, err)
	require.Equal(t, []int64{20, 20, 20, 20, 20, 0}, counts)
	counts, err = s.PendingHistogram(base+500, 1000, 3)
	require.NoError(t, err)
	require.Equal(t, []int64{2, 2, 2}, counts)
	counts, err = s.PendingHistogram(0, 1<<50, 1)
	require.NoError(t, err)
	require.Equal(t, []int64{100}, counts)
	_, err = s.PendingHistogram(0, 0, 1)
	require.Error(t, err)
}

// flushAll brings everything that is in memtables into runs.
func flushAll(t *testing.T, s *Store) {
	s.near.mu.Lock()
	for _, l := range s.lanes {
		l.index.Freeze()
	}
	s.near.mu.Unlock()
	require.NoError(t, s.flushIndexes())
}

func TestWhatHasFiredIsNotPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, testutil.FastDir(t), small(Options{clock: newPlainClock(time.Second)}))
		q := mustQueue(t, s, "t", 0)
		now := s.NowMs()
		for i := range 10 {
			mustPut(t, s, q, now+int64(i+1)*1000, fmt.Sprint(i))
		}
		time.Sleep(5500 * time.Millisecond)
		synctest.Wait()
		got, _ := bodiesOf(t, s, PendingPosition{}, noDeadline, -1)
		require.Equal(t, []string{"5", "6", "7", "8", "9"}, got)
		counts, err := s.PendingHistogram(now, 1000, 12)
		require.NoError(t, err)
		require.True(t, slices.Equal([]int64{0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 0}, counts), counts)
		require.NoError(t, s.Close())
		for _, err := range s.PendingAfter(PendingPosition{}, noDeadline) {
			require.ErrorIs(t, err, ErrClosed)
		}
	})
}

func TestWhatWasCancelledIsNeitherListedNorCounted(t *testing.T) {
	dir, o := testutil.FastDir(t), small(Options{})
	s := mustOpen(t, dir, o)
	q := mustQueue(t, s, "t", 0)
	at := s.NowMs() + time.Hour.Milliseconds()
	var cancelled []Result
	for i := range int64(4) {
		cancelled = append(cancelled, mustPut(t, s, q, at+i*1000, "cancelled"))
	}
	mustPut(t, s, q, at, "waits")
	require.NoError(t, s.Cancel(cancelled[0].Loc))
	flushAll(t, s)
	require.NoError(t, s.Cancel(cancelled[2].Loc))
	check := func() {
		got, _ := bodiesOf(t, s, PendingPosition{}, noDeadline, -1)
		require.Equal(t, []string{"waits", "cancelled", "cancelled"}, got)
		counts, err := s.PendingHistogram(at, 1000, 5)
		require.NoError(t, err)
		require.Equal(t, []int64{1, 1, 0, 1, 0}, counts)
		counts, err = s.PendingHistogram(at+1500, 1000, 2)
		require.NoError(t, err)
		require.Equal(t, []int64{0, 1}, counts)
		require.EqualValues(t, 3, s.Pending())
	}
	check()
	require.NoError(t, s.Close())
	s = mustOpen(t, dir, o)
	check()
	require.NoError(t, s.Close())
}

// What is put after the clock was set back is due before the mark, and waits.
func TestWhatIsPutAfterTheClockWasSetBackIsPending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &stepClock{plainClock: newPlainClock(time.Second)}
		s := mustOpen(t, testutil.FastDir(t), small(Options{clock: c}))
		q := mustQueue(t, s, "t", 0)
		mustPut(t, s, q, s.NowMs()+1000, "fired")
		time.Sleep(time.Minute)
		synctest.Wait()
		c.step(-10 * time.Minute)
		synctest.Wait()
		now := s.NowMs()
		mustPut(t, s, q, now+5000, "waits")
		mustPut(t, s, q, now+3600_000, "waits longer")
		got, _ := bodiesOf(t, s, PendingPosition{}, noDeadline, -1)
		require.Equal(t, []string{"waits", "waits longer"}, got)
		counts, err := s.PendingHistogram(now, 600_000, 7)
		require.NoError(t, err)
		require.Equal(t, []int64{1, 0, 0, 0, 0, 0, 1}, counts)
		require.NoError(t, s.Close())
	})
}
