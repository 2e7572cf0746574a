package bench

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestPercentilesAreThoseOfTheValues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.SliceOfN(rapid.Int64Range(-5_000_000, 60_000_000), 1, 300).Draw(t, "us")
		r := newRecorder()
		for _, v := range values {
			r.record(v)
		}
		slices.Sort(values)
		for _, p := range []float64{0, 1, 25, 50, 90, 99, 99.9, 100} {
			rank := max(int(math.Ceil(p/100*float64(len(values)))), 1)
			exact := float64(values[rank-1])
			require.InDelta(t, exact, float64(r.percentile(p)), math.Abs(exact)/500+1, "p%v of %v", p, values)
		}
		h := r.histogram()
		require.EqualValues(t, len(values), h.Count)
		require.Equal(t, values[0], h.Min)
		require.Equal(t, values[len(values)-1], h.Max)
		require.True(t, slices.IsSortedFunc(h.Buckets, func(a, b [2]int64) int { return int(a[0] - b[0]) }))
	})
}

func TestAnEarlyValueKeepsItsSign(t *testing.T) {
	r := newRecorder()
	r.record(-1500)
	r.record(20)
	require.EqualValues(t, -1500, r.percentile(0))
	require.Negative(t, r.histogram().Min)
	require.Negative(t, r.histogram().Buckets[0][0])
	require.EqualValues(t, -1, floorDiv(-300, 1000), "0.3 us early is early")
}

func TestBucketsHoldEveryValue(t *testing.T) {
	r := newRecorder()
	for us := int64(-100); us < 10_000; us += 7 {
		r.record(us)
	}
	h := r.histogram()
	var n int64
	for _, b := range h.Buckets {
		n += b[1]
	}
	require.Equal(t, h.Count, n)
	require.InEpsilon(t, float64(r.percentile(90)), float64(h.Percentile(90)), 0.02)
}

func TestATimelineCountsPerInterval(t *testing.T) {
	start := time.Unix(1000, 0)
	l := newTimeline(start)
	require.Nil(t, l.histogram())
	for i := range 30 {
		l.add(start.Add(time.Duration(i) * 100 * time.Millisecond))
	}
	l.add(start.Add(250 * time.Millisecond))
	h := l.histogram()
	require.EqualValues(t, 31, h.Count)
	require.Equal(t, [2]int64{200, 2}, h.Buckets[2])
	require.EqualValues(t, 11, l.peakPerSecond())
	l.add(start.Add(-time.Hour))
	l.add(start.Add(1000 * time.Hour))
	require.EqualValues(t, 33, l.histogram().Count, "what lies outside counts at the ends")
}

func TestAMixKeepsItsShape(t *testing.T) {
	for _, m := range Mixes {
		require.NoError(t, m.Validate())
	}
	require.Error(t, Mix("never").Validate())
	var half, aDay, far int
	for id := range uint64(100_000) {
		switch d := MixEveryday.delay(id); {
		case d == 30*time.Minute:
			half++
		case d == 24*time.Hour:
			aDay++
		default:
			require.GreaterOrEqual(t, d, farAtLeast)
			require.Less(t, d, yearAtMost)
			far++
		}
		require.Zero(t, MixYear.delay(id)%time.Millisecond)
		require.GreaterOrEqual(t, MixSecond.delay(id), secondAhead)
		require.Less(t, MixSecond.delay(id), secondAhead+time.Second)
	}
	require.InDelta(t, 90_000, half, 500)
	require.InDelta(t, 9_000, aDay, 300)
	require.InDelta(t, 1_000, far, 150)
}
