package broker

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQueueIsLockedForOneClientUntilItStopsRenewing(t *testing.T) {
	l, key := newLocks(), lockKey{"g", "t", 3}
	require.True(t, l.take(key, "a", 0))
	require.True(t, l.take(key, "a", 20_000), "renewed")
	require.False(t, l.take(key, "b", 20_000+lockMs-1))
	require.True(t, l.take(lockKey{"h", "t", 3}, "b", 20_000), "another group has its own lock")
	require.True(t, l.take(key, "b", 20_000+lockMs))
	require.False(t, l.take(key, "a", 20_000+lockMs))
}

func TestOnlyTheOwnerUnlocks(t *testing.T) {
	l, key := newLocks(), lockKey{"g", "t", 0}
	l.take(key, "a", 0)
	l.release(key, "b")
	require.False(t, l.take(key, "b", 1))
	l.release(key, "a")
	require.True(t, l.take(key, "b", 1))
}

func TestExpiredLocksAreForgotten(t *testing.T) {
	l := newLocks()
	l.take(lockKey{"g", "t", 0}, "a", 0)
	l.take(lockKey{"g", "t", 1}, "a", 1)
	l.expire(lockMs)
	require.Len(t, l.owner, 1)
}
