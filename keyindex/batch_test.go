package keyindex

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestABatchIsFoundWhenItIsAddedAndNotBefore, in memory and in the run that is made of it.
func TestABatchIsFoundWhenItIsAddedAndNotBefore(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	all := makeEntries(2*chunkLen+55, 0, 3)
	own, rest := all[:100], all[100:]
	b := NewBatch()
	for i := 0; i < len(rest); i += 1000 {
		b.Add(rest[i:min(i+1000, len(rest))])
	}
	x.Add(own, endOf(own))
	require.Equal(t, wanted(own, all[0].Hash), find(t, x, all[0].Hash))
	x.AddBatch(b, endOf(all))
	require.EqualValues(t, len(all), x.InMemory())
	require.Equal(t, wanted(all, all[0].Hash), find(t, x, all[0].Hash))
	require.Equal(t, 2, x.Frozen())
	require.False(t, x.Freeze())
	for _, end := range []int64{endOf(own), endOf(all)} {
		ri, wrote, err := x.Flush()
		require.NoError(t, err)
		require.True(t, wrote)
		require.Equal(t, end, ri.End)
		require.NoError(t, x.Install(ri, wrote))
	}
	require.Zero(t, x.InMemory())
	require.Equal(t, wanted(all, all[0].Hash), find(t, x, all[0].Hash))
}

// TestABatchThatBringsNoLaneBytesStays, for the entries that come after it.
func TestABatchThatBringsNoLaneBytesStays(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 5000)
	all := makeEntries(10, 5000, 1)
	b := NewBatch()
	b.Add(all[:5])
	x.AddBatch(b, 100)
	require.Zero(t, x.Frozen())
	x.Add(all[5:], endOf(all))
	require.Equal(t, wanted(all, all[0].Hash), find(t, x, all[0].Hash))
	require.True(t, x.Freeze())
}

func TestABatchIsNotTakenAfterClose(t *testing.T) {
	x := openIndex(t, t.TempDir(), nil, 0)
	b := NewBatch()
	b.Add(makeEntries(10, 0, 1))
	require.NoError(t, x.Close())
	x.AddBatch(b, 1000)
	require.Zero(t, x.InMemory())
}
