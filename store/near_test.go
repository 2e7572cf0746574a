package store

import (
	"math/rand/v2"
	"slices"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/internal/testutil"
)

func nearEntry(ms int64) *delayindex.Entry {
	return &delayindex.Entry{When: delayindex.MakeWhen(ms, 0)}
}

// However many seconds are empty, as many steps as there are others.
func TestWheelGoesToTheNextSecondThatHasSomething(t *testing.T) {
	const year = 366 * 24 * 3600
	n := newNear(100)
	n.horizonMs, n.loadedMs, n.preparedMs = (year+10)*1000, (year+10)*1000, 5000
	for _, sec := range []int64{year, 7, 4_000_000, 7, 5} {
		n.addLocked(nearEntry(sec * 1000))
	}
	for _, want := range []int64{5, 7, 4_000_000} {
		require.Equal(t, want*1000-prepareAhead, n.wakeMsLocked())
		sec, b := n.nextLocked(year * 1000)
		require.NotNil(t, b)
		require.Equal(t, want, sec)
		require.Equal(t, (want+1)*1000, n.preparedMs)
	}
	_, b := n.nextLocked(year * 1000)
	require.Nil(t, b)
	require.EqualValues(t, year*1000, n.preparedMs)
	_, b = n.nextLocked(1000) // the clock was set back
	require.Nil(t, b)
	require.EqualValues(t, year*1000, n.preparedMs)
	sec, _ := n.nextLocked((year + 1) * 1000)
	require.EqualValues(t, year, sec)
	require.Zero(t, n.count)
	require.EqualValues(t, noSecond, n.firstSec())
}

func TestFullWheelLetsItsLargestSecondsGo(t *testing.T) {
	n := newNear(100)
	n.horizonMs = 1000_000
	for i := range 10 {
		n.addLocked(nearEntry(int64(i) * 1000))
	}
	for range 1000 {
		n.addLocked(nearEntry(50_000))
		require.LessOrEqual(t, n.count, 100)
	}
	require.Equal(t, 10, n.count)
	for sec, b := range n.buckets {
		require.Equal(t, sec == 50, b.streamed, sec)
	}
	n.loadLocked([]delayindex.Entry{*nearEntry(3000), *nearEntry(50_000)})
	require.Equal(t, 11, n.count)
}

// countingClock counts how often somebody asks for the time, which is how often
// dispatcher and loader do something.
type countingClock struct {
	*stepClock
	asked atomic.Int64
}

func (c *countingClock) NowMs() int64 {
	c.asked.Add(1)
	return c.stepClock.NowMs()
}

func TestForwardStepOfAYearTakesFewSteps(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &countingClock{stepClock: &stepClock{plainClock: newPlainClock(time.Hour)}}
		s := mustOpen(t, testutil.FastDir(t), small(Options{clock: c, keeperTick: time.Hour}))
		q := mustQueue(t, s, "a", 0)
		const n = 20
		for i := range n {
			delay := time.Duration(n-i) * 18 * 24 * time.Hour
			mustPut(t, s, q, s.NowMs()+delay.Milliseconds(), strconv.Itoa(n-i))
		}
		synctest.Wait()
		before := c.asked.Load()
		c.step(365 * 24 * time.Hour)
		awaitMax(t, q, n)
		synctest.Wait()
		require.Less(t, c.asked.Load()-before, int64(2000))
		var want []string
		for i := range n {
			want = append(want, strconv.Itoa(i+1))
		}
		require.Equal(t, want, payloads(t, s, q))
		require.GreaterOrEqual(t, s.mark().firedMs, s.NowMs()-time.Hour.Milliseconds())
		require.NoError(t, s.Close())
	})
}

// The wheel does not grow with what arrives, whatever second it is due in, and what
// it does not hold fires all the same.
func TestArrivalsBeyondTheWheelAreStreamedFromTheIndex(t *testing.T) {
	for name, spread := range map[string]int64{"one second": 1000, "a minute": 60_000} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := mustOpen(t, testutil.FastDir(t), small(Options{clock: newPlainClock(time.Hour), NearEntries: 1024, MemtableEntries: 900, keeperTick: 100 * time.Millisecond}))
				q := mustQueue(t, s, "hot", 0)
				due := time.Now().Add(12 * time.Second).Truncate(time.Second).UnixMilli()
				const rounds, each = 8, 700
				for range rounds {
					var ms []Message
					for range each {
						fire := due + rand.Int64N(spread)
						ms = append(ms, Message{Queue: q, FireMs: fire, Payload: []byte(strconv.FormatInt(fire, 10))})
					}
					putMany(t, s, ms)
					require.LessOrEqual(t, s.Stats().NearEntries, int64(1024))
					time.Sleep(time.Second) // the index is written meanwhile
				}
				time.Sleep(90 * time.Second)
				synctest.Wait()
				require.Zero(t, s.Pending())
				require.True(t, slices.IsSorted(payloads(t, s, q)))
				require.EqualValues(t, rounds*each, q.Max())
				require.NoError(t, s.Close())
			})
		})
	}
}

// Many such seconds at once, as after a step of the clock, are taken one after the other.
func TestStreamedSecondsAreOpenedAFewAtATime(t *testing.T) {
	s := mustOpen(t, testutil.FastDir(t), small(Options{}))
	require.NoError(t, s.Close()) // so that nobody else looks at the wheel
	now := s.NowMs()/1000*1000 + 500
	s.near = newNear(1024)
	for i := range int64(10) {
		s.near.streamLocked(now/1000 - 10 + i)
	}
	s.near.preparedMs, s.near.horizonMs, s.near.loadedMs = 0, now+60_000, now+60_000
	d := newDispatcher(s, mark{}, 0)
	defer d.due.close()
	d.drain(now)
	require.Equal(t, maxStreams, d.due.streams())
	require.False(t, d.hasRoom())
	for range 4 {
		_, err := d.due.settle(now) // they are empty
		require.NoError(t, err)
		require.True(t, d.hasRoom())
		require.Less(t, s.near.preparedMs, now)
		d.drain(now)
	}
	require.EqualValues(t, (now - 500), s.near.preparedMs)
}

func TestBacklogOfStreamedSecondsFiresInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &stepClock{plainClock: newPlainClock(time.Hour)}
		s := mustOpen(t, testutil.FastDir(t), small(Options{clock: c, NearEntries: 1024, MemtableEntries: 3000, keeperTick: time.Second}))
		q := mustQueue(t, s, "hot", 0)
		const secs, each = 12, 600
		due := time.Now().Add(time.Hour).Truncate(time.Second).UnixMilli()
		var ms []Message
		for i := range secs * each {
			fire := due + int64(i%secs)*1000 + rand.Int64N(1000)
			ms = append(ms, Message{Queue: q, FireMs: fire, Payload: []byte(strconv.FormatInt(fire, 10))})
		}
		putMany(t, s, ms)
		c.step(2 * time.Hour)
		awaitMax(t, q, secs*each)
		synctest.Wait()
		require.Zero(t, s.Pending())
		require.True(t, slices.IsSorted(payloads(t, s, q)))
		require.NoError(t, s.Close())
	})
}
