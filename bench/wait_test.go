package bench

import (
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestStillnessCountsOnlyTheTimeInWhichItLooks(t *testing.T) {
	var s stillness
	now := time.Unix(0, 0)
	at := func(n int64, after time.Duration) time.Duration {
		now = now.Add(after)
		return s.look(n, now)
	}
	require.Zero(t, at(3, time.Hour), "the first look")
	require.Equal(t, 100*time.Millisecond, at(3, 100*time.Millisecond))
	require.Equal(t, 100*time.Millisecond+longestLook, at(3, time.Hour), "nothing ran for an hour")
	require.Zero(t, at(4, time.Second), "it moved")
	require.Equal(t, time.Millisecond, at(4, time.Millisecond))
}
