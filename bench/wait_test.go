package bench

import (
	"testing"
	"testing/synctest"
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

func TestARestSaysEverySecondHowMuchIsOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		said := map[time.Duration]Progress{}
		s := &stage{opts: Options{Progress: func(p Progress) { said[time.Since(start).Truncate(time.Second)] = p }}}
		require.NoError(t, s.rest(t.Context(), 3250*time.Millisecond))
		require.Equal(t, 3250*time.Millisecond, time.Since(start))
		require.Len(t, said, 4)
		for at, p := range said {
			require.Equal(t, Progress{Phase: "wait", Done: int64(at / time.Second), Total: 4, Unit: "s"}, p)
		}
		require.NoError(t, s.rest(t.Context(), -time.Second))
	})
}
