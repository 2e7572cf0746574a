package delayindex

import (
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestCountExactAgreesWithWhatTheIteratorYields(t *testing.T) {
	x, err := Open(t.TempDir(), nil, 0, nil)
	require.NoError(t, err)
	defer x.Close()
	const n = 10_000
	off := int64(0)
	for range 3 {
		es := make([]Entry, n)
		for i := range es {
			es[i] = Entry{When: MakeWhen(rand.Int64N(20*hourMs), 0), Loc: uint64(off)}
			off += 100
		}
		x.Add(es, off)
		if off < 3*n*100 {
			require.True(t, x.Freeze())
			ri, wrote, err := x.Flush(nil)
			require.NoError(t, err)
			require.NoError(t, x.Install(ri, wrote))
		}
	}
	s := x.Snapshot()
	defer s.Release()
	for range 100 {
		from := rand.Int64N(20 * hourMs)
		to := from + rand.Int64N(5*hourMs)
		got, err := s.CountExact(from, to)
		require.NoError(t, err)
		require.LessOrEqual(t, got, s.Count(from, to))
		require.Equal(t, drainCount(t, s.Iter(from, to)), got)
	}
}

func drainCount(t *testing.T, it Iterator) (total int64) {
	t.Helper()
	defer it.Close()
	var buf [1000]Entry
	for {
		n, err := it.Next(buf[:])
		require.NoError(t, err)
		if n == 0 {
			return total
		}
		total += int64(n)
	}
}
