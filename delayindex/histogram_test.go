package delayindex

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHistogramAgreesWithWhatTheIteratorYields(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	es := makeEntries(3*blockEntries, 0, within(3))
	addRun(t, x, es)
	x.Add(makeEntries(2*chunkLen+5, endOf(es), within(2)), endOf(es)+1<<20)
	s := x.Snapshot()
	defer s.Release()
	r := rand.New(rand.NewPCG(1, 2))
	base := es[0].FireMs()
	for range 50 {
		from := max(base-2*hourMs+r.Int64N(6*hourMs), 0)
		step := 1 + r.Int64N(hourMs)
		since := from + r.Int64N(hourMs) - hourMs/2
		counts := make([]int64, 1+r.IntN(20))
		require.NoError(t, s.Histogram(from, step, since, counts))
		for i, n := range counts {
			lo := from + int64(i)*step
			require.Equal(t, drainCount(t, s.Iter(max(lo, since), lo+step)), n, "range %d of %d", i, len(counts))
		}
	}
	require.Error(t, s.Histogram(0, 0, 0, nil))
	require.NoError(t, s.Histogram(MaxFireMs, 1<<62, 0, make([]int64, 4)))
}
