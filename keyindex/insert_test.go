package keyindex

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestRunsAreInsertedInLaneOrder(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	all := makeEntries(900, 0, 7)
	part := func(i int) []Entry { return append([]Entry(nil), all[i*300:(i+1)*300]...) }
	var runs []RunInfo
	for _, i := range []int{2, 0, 1} {
		ri, wrote, err := x.Write(shuffled(part(i)), int64(i)*300*stride, int64(i+1)*300*stride)
		require.NoError(t, err)
		require.True(t, wrote)
		require.NoError(t, x.Insert(ri))
		runs = append(runs, ri)
	}
	require.Equal(t, []RunInfo{runs[1], runs[2], runs[0]}, x.Runs())
	requireContent(t, x, all)
	require.Equal(t, runs[0].End, x.IndexedUpTo())

	_, wrote, err := x.Write(nil, 900*stride, 1000*stride)
	require.NoError(t, err)
	require.False(t, wrote)
	ri, _, err := x.Write(part(0), 100, 200)
	require.NoError(t, err)
	require.Error(t, x.Insert(ri), "overlaps")
	require.NoError(t, x.Close())
	require.ErrorIs(t, x.Insert(runs[0]), ErrClosed)
}
