package broker

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestRatesReachBackAsFarAsTheyMay(t *testing.T) {
	var r rates
	in := func(s *sample) int64 { return s.in }
	start := time.Date(2026, 11, 25, 23, 0, 0, 0, time.Local)
	require.Equal(t, "0.00 0.00 0.00", r.perSecond(sample{at: start}, in))
	at, total := start, int64(0)
	for range 500 { // over an hour: 1/s, the last minute 10/s
		r.add(sample{at: at, in: total})
		at = at.Add(ratesEvery)
		total += 10
	}
	require.Len(t, r.samples, ratesKept)
	require.Equal(t, "1.00 1.00 1.00", r.perSecond(sample{at: at, in: total}, in))
	require.Equal(t, "11.00 2.67 1.17", r.perSecond(sample{at: at, in: total + 100}, in))
	morning, evening := r.days()
	require.Equal(t, []int64{3600, 0}, []int64{morning.in, evening.in})
}
