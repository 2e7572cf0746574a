package broker

import (
	"context"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// query asks for the messages of topic T with a key.
func (c *client) query(key string, ext ...string) *remoting.Command {
	c.t.Helper()
	return c.ask(remoting.ReqQueryMessage, nil, append([]string{
		"topic", "T", "key", key, "maxNum", "32", "beginTimestamp", "0", "endTimestamp", atMs(1 << 62),
	}, ext...)...)
}

func TestAMessageIsFoundByKeyAndByID(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	c.send("T", props("UNIQ_KEY", "U1", "KEYS", "a b"), "now")
	c.send("T", props("UNIQ_KEY", "U2", "KEYS", "a", "TIMER_DELAY_SEC", "3600"), "timed")
	c.send("T", props("UNIQ_KEY", "U3", "KEYS", "a c", "DELAY", "18"), "level")
	c.send("T", props("UNIQ_KEY", "U4", "KEYS", "a", "TIMER_DELAY_SEC", "864000"), "far")
	c.send("Other", props("UNIQ_KEY", "U5", "KEYS", "a"), "of another topic")

	resp := c.query("a")
	require.ElementsMatch(t, []string{"now", "timed", "level", "far"}, bodies(t, resp))
	require.NotEmpty(t, resp.Get("indexLastUpdateTimestamp"))
	require.NotEmpty(t, resp.Get("indexLastUpdatePhyoffset"))
	require.Equal(t, []string{"level"}, bodies(t, c.query("c")))
	require.Equal(t, []string{"timed"}, bodies(t, c.query("U2", "_UNIQUE_KEY_QUERY", "true")))
	require.Equal(t, []string{"timed"}, bodies(t, c.query("U2")))
	require.Len(t, bodies(t, c.query("a", "maxNum", "2")), 2)
	for _, missing := range []*remoting.Command{c.query("A"), c.query("b", "_UNIQUE_KEY_QUERY", "true"), c.query("U5")} {
		require.Equal(t, remoting.RespQueryNotFound, missing.Code)
	}
}

func TestAMessageThatWaitsSaysSoAndAVisibleOneLooksAsDelivered(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	c.send("T", props("UNIQ_KEY", "U0"), "first")
	c.send("T", props("UNIQ_KEY", "U1"), "now")
	c.send("T", props("UNIQ_KEY", "U2", "TIMER_DELAY_SEC", "3600"), "timed")
	c.send("T", props("UNIQ_KEY", "U3", "DELAY", "18"), "level")
	c.send("T", props("UNIQ_KEY", "U4", "TIMER_DELAY_MS", "50"), "soon")
	pulled := r.pullUntil(c, 3)

	for i, id := range []string{"U0", "U1", "U4"} {
		got := messages(t, c.query(id))
		require.Len(t, got, 1)
		want := pulled[i]
		if i < 2 {
			want.StoreMs = got[0].StoreMs // of a message that did not wait: when it was accepted
		}
		require.Equal(t, want, got[0])
	}
	for _, id := range []string{"U2", "U3"} {
		got := messages(t, c.query(id))
		require.Len(t, got, 1)
		out, err := strconv.ParseInt(message.Get(got[0].Properties, message.PropTimerOutMs), 10, 64)
		require.NoError(t, err)
		require.Greater(t, out, got[0].StoreMs+3_000_000)
		require.Empty(t, message.Get(got[0].Properties, message.PropTimerDequeueMs))
		require.Zero(t, got[0].QueueOffset)
		seen := messages(t, c.ask(remoting.ReqViewMessageByID, nil, "offset", atMs(got[0].PhysicalOffset), "topic", "T"))
		require.Equal(t, got, seen, "code 33 shows the same")
	}
}

// pullUntil pulls queue 0 of T until it has n messages.
func (r *rig) pullUntil(c *client, n int) []message.Message {
	for {
		resp := c.ask(remoting.ReqPullMessage, nil, pullExtOf("T", "g", 0)...)
		if resp.Code == remoting.RespSuccess {
			if got := messages(r.t, resp); len(got) == n {
				return got
			}
		}
	}
}

func TestAQueryKeepsToItsRangeOfTime(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	begin := r.store.NowMs()
	c.send("T", props("UNIQ_KEY", "U1", "KEYS", "a"), "now")
	c.send("T", props("UNIQ_KEY", "U2", "KEYS", "a", "TIMER_DELAY_SEC", "3600"), "timed")
	end := r.store.NowMs()
	hour := time.Hour.Milliseconds()
	at := func(from, to int64) *remoting.Command {
		return c.query("a", "beginTimestamp", atMs(from), "endTimestamp", atMs(to))
	}
	require.ElementsMatch(t, []string{"now", "timed"}, bodies(t, at(begin, end)))
	require.Equal(t, []string{"timed"}, bodies(t, at(begin+hour, end+hour)), "by the time it is due")
	require.Equal(t, remoting.RespQueryNotFound, at(begin-hour, begin-1).Code)
	require.Equal(t, remoting.RespQueryNotFound, at(end+hour+1, 1<<62).Code)
	require.Equal(t, remoting.RespQueryNotFound, at(end, begin-1).Code)
}

func TestAnAnswerHasTheNewestMessagesAndIsBounded(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	for i := range 70 {
		c.send("T", props("KEYS", "a"), strconv.Itoa(i))
	}
	require.Len(t, bodies(t, c.query("a", "maxNum", "1000")), maxQueryMessages)
	newest := bodies(t, c.query("a", "maxNum", "3"))
	require.Len(t, newest, 3)
	require.Contains(t, newest, "69")
	large := strings.Repeat("x", 3<<20)
	c.send("T", props("KEYS", "b"), large)
	c.send("T", props("KEYS", "b"), large)
	require.Len(t, bodies(t, c.query("b")), 1)
}

func TestACollisionIsNotTakenForAMatch(t *testing.T) {
	r := newRig(t, nil)
	r.topic("T", 1)
	top, _ := r.broker.topics.Lookup("T")
	q, err := top.queue(0)
	require.NoError(t, err)
	rec, err := message.Append(nil, &message.Message{Topic: "T", Body: []byte("x"), Properties: props("KEYS", "other")})
	require.NoError(t, err)
	for range 3 {
		_, err = r.store.Put(context.Background(), &store.Message{Queue: q, Payload: rec, Keys: []uint64{KeyHash("T", "a")}})
		require.NoError(t, err)
	}
	c := r.dial()
	require.Equal(t, remoting.RespQueryNotFound, c.query("a").Code)
	c.send("T", props("KEYS", "a"), "the one")
	require.Equal(t, []string{"the one"}, bodies(t, c.query("a")))
}

func TestMalformedQueriesAreRefused(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	for _, ext := range [][]string{
		{"topic", ""}, {"key", ""}, {"maxNum", "0"}, {"maxNum", "x"}, {"beginTimestamp", "x"}, {"endTimestamp", "1.5"},
	} {
		require.Equal(t, remoting.RespInvalidParameter, c.query("a", ext...).Code, ext)
	}
	require.Equal(t, remoting.RespQueryNotFound, c.ask(remoting.ReqQueryMessage, nil, "topic", "T", "key", "a").Code, "the rest has defaults")
}
