package broker

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A consumer asks once before its first heartbeat, and then after 30 s.
func TestARetryTopicIsRoutedBeforeItExists(t *testing.T) {
	b := newRig(t, nil).broker
	queues := func(topic string) int32 {
		read, write, perm, _, ok := b.Route(topic)
		require.Equal(t, read, write)
		require.Equal(t, ok, read > 0)
		if ok {
			require.EqualValues(t, permRead|permWrite, perm)
		}
		return read
	}
	require.EqualValues(t, 1, queues("%RETRY%new"))
	for _, other := range []string{"new", "%DLQ%new", "%RETRY%", "%RETRY%no good", "%RETRY%" + strings.Repeat("g", maxGroupName+1)} {
		require.Zero(t, queues(other), other)
	}
	_, ok := b.groups.Lookup("new")
	require.False(t, ok, "asking creates nothing")
	_, ok = b.topics.Lookup("%RETRY%new")
	require.False(t, ok, "asking creates nothing")

	for name, n := range map[string]int32{"three": 3, "none": 0} {
		g := defaultGroup(name)
		g.RetryQueues = n
		require.NoError(t, b.groups.Update(g))
		require.Equal(t, n, queues("%RETRY%"+name), "as the heartbeat will create it")
	}
}

func TestRetryTopicsOfGroupsThatMayNotAppearAreNotRouted(t *testing.T) {
	b := newRig(t, &Options{}).broker
	_, _, _, _, ok := b.Route("%RETRY%new")
	require.False(t, ok)
}
