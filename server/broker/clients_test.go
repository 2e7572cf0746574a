package broker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/remoting"
)

func sub(topic, expression string, version int64) *subscription {
	f, _ := parseFilter(expression, "")
	return &subscription{topic: topic, expression: expression, version: version, filter: f}
}

func TestJoiningChangesAGroupOnce(t *testing.T) {
	cs, c := newClients(), new(remoting.Conn)
	subs := []*subscription{sub("t", "*", 1)}
	require.True(t, cs.joinConsumer(c, "g", member{clientID: "a", beatMs: 1}, profile{}, subs))
	require.False(t, cs.joinConsumer(c, "g", member{clientID: "a", beatMs: 2}, profile{}, subs), "the same heartbeat again is no news")
	require.True(t, cs.joinConsumer(new(remoting.Conn), "g", member{clientID: "b", beatMs: 2}, profile{}, subs))
	require.Equal(t, []string{"a", "b"}, cs.ConsumerIDs("g"))
}

func TestSubscriptionFollowsTheNewestHeartbeat(t *testing.T) {
	cs, c := newClients(), new(remoting.Conn)
	join := func(subs ...*subscription) bool {
		return cs.joinConsumer(c, "g", member{clientID: "a"}, profile{}, subs)
	}
	join(sub("t", "a", 5), sub("u", "*", 5))
	require.False(t, join(sub("t", "old", 4), sub("u", "*", 5)), "an older version does not win")
	got, _, known := cs.Subscription("g", "t")
	require.True(t, known)
	require.Equal(t, "a", got.expression)
	require.True(t, join(sub("t", "b", 6)), "a new expression, and one topic less")
	got, _, _ = cs.Subscription("g", "t")
	require.Equal(t, "b", got.expression)
	got, _, _ = cs.Subscription("g", "u")
	require.Nil(t, got)
}

func TestGroupWithoutMembersIsUnknown(t *testing.T) {
	cs, c := newClients(), new(remoting.Conn)
	cs.joinConsumer(c, "g", member{clientID: "a"}, profile{}, []*subscription{sub("t", "*", 1)})
	require.False(t, cs.leave(c, "", "g"), "nobody is left to be told")
	_, _, known := cs.Subscription("g", "t")
	require.False(t, known)
	require.Empty(t, cs.joined, "nothing is kept of a connection without groups")
}

func TestDisconnectLeavesEveryGroup(t *testing.T) {
	cs, gone, stays := newClients(), new(remoting.Conn), new(remoting.Conn)
	for _, group := range []string{"g", "h"} {
		cs.joinConsumer(gone, group, member{clientID: "gone"}, profile{}, nil)
	}
	cs.joinConsumer(stays, "g", member{clientID: "stays"}, profile{}, nil)
	cs.joinProducer(gone, "p", member{clientID: "gone"})
	require.Len(t, cs.Producer("p"), 1)

	require.Equal(t, []string{"g"}, cs.dropConn(gone), "only g has somebody left to be told")
	require.Equal(t, []string{"stays"}, cs.ConsumerIDs("g"))
	require.Empty(t, cs.Producer("p"))
	require.Empty(t, cs.ConsumerIDs("h"))
	require.Nil(t, cs.dropConn(gone), "a second time finds nothing")
}

func TestSilentClientsExpire(t *testing.T) {
	cs, silent, alive := newClients(), new(remoting.Conn), new(remoting.Conn)
	cs.joinConsumer(silent, "g", member{clientID: "silent", beatMs: 99}, profile{}, nil)
	cs.joinConsumer(alive, "g", member{clientID: "alive", beatMs: 100}, profile{}, nil)
	cs.joinProducer(silent, "p", member{clientID: "silent", beatMs: 99})
	require.Equal(t, []string{"g"}, cs.expire(100))
	require.Equal(t, []string{"alive"}, cs.ConsumerIDs("g"))
	require.Empty(t, cs.Producer("p"))
	require.Empty(t, cs.expire(100))
}

func TestOneClientOnTwoConnectionsIsOneMember(t *testing.T) {
	cs := newClients()
	cs.joinConsumer(new(remoting.Conn), "g", member{clientID: "a"}, profile{}, nil)
	cs.joinConsumer(new(remoting.Conn), "g", member{clientID: "a"}, profile{}, nil)
	require.Equal(t, []string{"a"}, cs.ConsumerIDs("g"))
	require.Len(t, cs.Consumer("g"), 2, "both connections are notified")
}

func TestConnectionCountsAreByKindOfClient(t *testing.T) {
	cs, c := newClients(), new(remoting.Conn)
	java := member{clientID: "a", language: remoting.LangJava, version: 513}
	cs.joinProducer(c, "p1", java)
	cs.joinProducer(c, "p2", java)
	cs.joinConsumer(c, "g", java, profile{}, nil)
	require.Equal(t, map[clientKind]int{{language: remoting.LangJava, version: 513}: 1}, cs.producerCounts())
	require.Equal(t, map[clientKind]int{{"g", remoting.LangJava, 513}: 1}, cs.consumerCounts())
}
