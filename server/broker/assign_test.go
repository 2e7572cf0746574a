package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

func TestSharesTileTheQueues(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		queues := rapid.Int32Range(1, 100).Draw(t, "queues")
		ids := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z]{1,4}`), 1, 20, rapid.ID).Draw(t, "ids")
		next := int32(0)
		for _, id := range ids {
			first, end := share(ids, id, queues)
			require.Equal(t, next, first)
			require.LessOrEqual(t, end-first, queues/int32(len(ids))+1)
			next = end
		}
		require.Equal(t, queues, next)
	})
}

func TestStrangerGetsNoShare(t *testing.T) {
	first, end := share([]string{"a"}, "b", 8)
	require.Equal(t, first, end)
}
