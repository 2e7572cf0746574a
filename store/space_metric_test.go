package store

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/testutil"
)

func TestSpaceOfColdMessagesGoesFromPendingToLiveToDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, testutil.FastDir(t), farOptions())
		q := mustQueue(t, s, "orders", 0)
		soon := putFar(t, s, q, 2000, 7*day, 7*day)
		putFar(t, s, q, 2000, 60*day, 60*day)
		time.Sleep(3 * day)
		space := func(state string) float64 { return gaugeOf(t, s, "duelog_space_bytes", coldClass, state) }
		all := float64(s.Stats().StoredBytes[BytesCold])
		require.NotZero(t, all)
		require.Equal(t, all, space("pending"))
		require.Zero(t, space("live"))
		require.Zero(t, space("dead"))

		time.Sleep(5 * day)
		require.EqualValues(t, len(soon), q.Max())
		require.InEpsilon(t, all/2, space("pending"), 0.2)
		require.InEpsilon(t, all/2, space("live"), 0.2)
		require.Zero(t, space("dead"))

		time.Sleep(2 * day)
		require.Zero(t, space("live"))
		require.InEpsilon(t, all/2, space("pending"), 0.2)
		require.EqualValues(t, s.Stats().StoredBytes[BytesCold], space("pending")+space("dead"))
		require.Less(t, space("dead"), all/8, "the next hole")
		require.NoError(t, s.Close())
	})
}
