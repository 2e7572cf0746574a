package broker

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

// next is the nextBeginOffset of a pull's answer; every such answer has the
// whole header, because the C++ client throws without it.
func next(t testing.TB, resp *remoting.Command) int64 {
	t.Helper()
	for _, key := range []string{"suggestWhichBrokerId", "nextBeginOffset", "minOffset", "maxOffset", "topicSysFlag", "groupSysFlag"} {
		_, ok := resp.Lookup(key)
		require.True(t, ok, key)
	}
	n, err := resp.Int64("nextBeginOffset")
	require.NoError(t, err)
	return n
}

func TestPullReturnsMessagesInOrder(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	for i := range 3 {
		r.put("t", 0, "", fmt.Sprint("m", i), 0)
	}
	resp := r.dial().ask(remoting.ReqPullMessage, nil, pullExtOf("t", "g", 1)...)
	require.Equal(t, []string{"m1", "m2"}, bodies(t, resp))
	require.EqualValues(t, 3, next(t, resp))
	require.Equal(t, "FOUND", resp.Remark)
	require.Equal(t, "3", resp.Get("maxOffset"))
	for i, m := range messages(t, resp) {
		require.EqualValues(t, i+1, m.QueueOffset)
		require.NotZero(t, m.StoreMs)
	}
	require.Eventually(t, func() bool { return metric(t, r.reg, "rocketmq_messages_out_total") == 2.0 },
		time.Minute, time.Millisecond, "counted when the answer is written")
}

func TestLitePullIsServedAlike(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	r.put("t", 0, "", "m", 0)
	resp := r.dial().ask(remoting.ReqLitePullMessage, nil, pullExtOf("t", "g", 0, "sysFlag", "22", "maxMsgBytes", "2147483647")...)
	require.Equal(t, []string{"m"}, bodies(t, resp))
}

func TestPullOutsideOfTheQueueIsPutRight(t *testing.T) {
	r := newRig(t, nil)
	r.topic("full", 1)
	r.topic("empty", 1)
	for range 3 {
		r.put("full", 0, "", "m", 0)
	}
	c := r.dial()
	for _, x := range []struct {
		topic  string
		offset int64
		code   int32
		next   int64
	}{
		{"full", 3, remoting.RespPullNotFound, 3},
		{"full", 4, remoting.RespPullOffsetMoved, 3},
		{"full", 1 << 60, remoting.RespPullOffsetMoved, 3},
		{"full", -1, remoting.RespPullOffsetMoved, 0},
		{"empty", 0, remoting.RespPullNotFound, 0},
		{"empty", 7, remoting.RespPullOffsetMoved, 0},
	} {
		resp := c.ask(remoting.ReqPullMessage, nil, pullExtOf(x.topic, "g", x.offset)...)
		require.Equal(t, x.code, resp.Code, "%+v", x)
		require.Equal(t, x.next, next(t, resp), "%+v", x)
	}
}

func TestPullLimitsMessagesAndBytes(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 2)
	for range 40 {
		r.put("t", 0, "", "small", 0)
	}
	big := string(make([]byte, 100<<10))
	for range 4 {
		r.put("t", 1, "", big, 0)
	}
	c := r.dial()
	count := func(change ...string) int {
		resp := c.ask(remoting.ReqPullMessage, nil, pullExtOf("t", "g", 0, change...)...)
		n := len(messages(t, resp))
		require.EqualValues(t, n, next(t, resp), "what did not fit comes next")
		return n
	}
	require.Equal(t, 32, count())
	require.Equal(t, 32, count("maxMsgNums", "100"))
	require.Equal(t, 10, count("maxMsgNums", "10"))
	require.Equal(t, 1, count("maxMsgNums", "0"))
	require.Equal(t, 2, count("queueId", "1"), "256 KiB")
	require.Equal(t, 1, count("queueId", "1", "maxMsgBytes", "1000"), "the first message always comes")
}

func TestPullFiltersByTag(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	for i := range 10 {
		r.put("t", 0, []string{"a", "b"}[i%2], fmt.Sprint(i), 0)
	}
	c := r.dial()
	resp := c.ask(remoting.ReqPullMessage, nil, pullExtOf("t", "g", 0, "subscription", "b || c")...)
	require.Equal(t, []string{"1", "3", "5", "7", "9"}, bodies(t, resp))
	require.EqualValues(t, 10, next(t, resp))

	resp = c.ask(remoting.ReqPullMessage, nil, pullExtOf("t", "g", 4, "subscription", "c")...)
	require.Equal(t, remoting.RespPullRetryImmediately, resp.Code)
	require.EqualValues(t, 10, next(t, resp), "what was looked at is not looked at again")
}

func TestPullLooksAtSoManyEntriesOnly(t *testing.T) {
	r := newRig(t, &Options{AutoCreateGroup: true})
	r.topic("t", 1)
	r.fill("t", 0, "a", pullMaxScanned+10)
	resp := r.dial().ask(remoting.ReqPullMessage, nil, pullExtOf("t", "g", 0, "subscription", "b")...)
	require.Equal(t, remoting.RespPullRetryImmediately, resp.Code)
	require.EqualValues(t, pullMaxScanned, next(t, resp))
}

func TestPullUsesTheSubscriptionOfTheHeartbeat(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	r.put("t", 0, "a", "m", 0)
	c := r.dial()
	pull := func(version string) *remoting.Command {
		return c.ask(remoting.ReqPullMessage, nil, pullExtOf("t", "g", 0, "sysFlag", "0", "subVersion", version)...)
	}
	require.Equal(t, remoting.RespSubscriptionNotExist, pull("0").Code, "no heartbeat yet")
	c.beat("id", "g", heartbeatSubscription{Topic: "other", Expression: "*"})
	require.Equal(t, remoting.RespSubscriptionNotExist, pull("0").Code, "not this topic")
	c.beat("id", "g", heartbeatSubscription{Topic: "t", Expression: "a", Version: 5})
	require.Equal(t, remoting.RespSubscriptionNotLatest, pull("6").Code)
	require.Equal(t, []string{"m"}, bodies(t, pull("5")))
	c.beat("id", "g", heartbeatSubscription{Topic: "t", Expression: "b", Version: 6})
	require.Equal(t, remoting.RespPullRetryImmediately, pull("6").Code)
	c.beat("id", "g", heartbeatSubscription{Topic: "t", Expression: "x > 1", ExpressionType: "SQL92", Version: 7})
	require.Equal(t, remoting.RespSystemError, pull("7").Code)
}

func TestPullIsRefusedWithTheProtocolsCodes(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 2)
	require.NoError(t, r.broker.topics.Update(newTopicConfig("writeonly", 1, 1, permWrite)))
	off := defaultGroup("off")
	off.ConsumeEnable = false
	require.NoError(t, r.broker.groups.Update(off))
	c := r.dial()
	for _, x := range []struct {
		why    string
		code   int32
		change []string
	}{
		{"group with a bad name", remoting.RespSubscriptionGroupAbsent, []string{"consumerGroup", "no good"}},
		{"group disabled", remoting.RespNoPermission, []string{"consumerGroup", "off"}},
		{"topic unknown", remoting.RespTopicNotExist, []string{"topic", "unknown"}},
		{"topic not readable", remoting.RespNoPermission, []string{"topic", "writeonly"}},
		{"queue unknown", remoting.RespInvalidParameter, []string{"queueId", "2"}},
		{"queue negative", remoting.RespInvalidParameter, []string{"queueId", "-1"}},
		{"queue huge", remoting.RespInvalidParameter, []string{"queueId", "4294967296"}},
		{"filter language", remoting.RespSystemError, []string{"expressionType", "SQL92"}},
		{"no group", remoting.RespSystemError, []string{"consumerGroup", ""}},
		{"no topic", remoting.RespSystemError, []string{"topic", ""}},
		{"offset not a number", remoting.RespSystemError, []string{"queueOffset", "x"}},
		{"flags not a number", remoting.RespSystemError, []string{"sysFlag", ""}},
	} {
		resp := c.ask(remoting.ReqPullMessage, nil, pullExtOf("t", "g", 0, x.change...)...)
		require.Equal(t, x.code, resp.Code, x.why)
		require.NotEmpty(t, resp.Remark, x.why)
	}
	require.EqualValues(t, 12, metric(t, r.reg, "duelog_refused_total"))
}

func TestUnknownGroupIsRefusedWhenGroupsAreNotCreated(t *testing.T) {
	r := newRig(t, &Options{})
	r.topic("t", 1)
	resp := r.dial().ask(remoting.ReqPullMessage, nil, pullExtOf("t", "g", 0)...)
	require.Equal(t, remoting.RespSubscriptionGroupAbsent, resp.Code)
}

func TestBroadcastingCanBeForbidden(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	g := defaultGroup("g")
	g.BroadcastEnable = false
	require.NoError(t, r.broker.groups.Update(g))
	c := r.dial()
	c.ask(remoting.ReqHeartBeat, heartbeat{ClientID: "id", Consumers: []heartbeatConsumer{{Group: "g", MessageModel: modelBroadcasting, Subscriptions: []heartbeatSubscription{{Topic: "t"}}}}})
	resp := c.ask(remoting.ReqPullMessage, nil, pullExtOf("t", "g", 0, "sysFlag", "0")...)
	require.Equal(t, remoting.RespNoPermission, resp.Code)
}

func TestPullCommitsTheOffsetItCarries(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	c := r.dial()
	committed := func() (int64, bool) { return r.broker.offsets.Query("g", "t", 0) }
	c.ask(remoting.ReqPullMessage, nil, pullExtOf("t", "g", 0, "sysFlag", "4", "commitOffset", "5")...)
	_, ok := committed()
	require.False(t, ok, "the flag says whether it counts")
	c.ask(remoting.ReqPullMessage, nil, pullExtOf("t", "g", 0, "sysFlag", "5", "commitOffset", "-1")...)
	_, ok = committed()
	require.False(t, ok, "Go clients send -1 before they have one")
	c.ask(remoting.ReqPullMessage, nil, pullExtOf("t", "g", 0, "sysFlag", "5", "commitOffset", "5")...)
	offset, ok := committed()
	require.True(t, ok)
	require.EqualValues(t, 5, offset)
}

func TestRemarksEchoOnlyTheBeginningOfALongName(t *testing.T) {
	r := newRig(t, &Options{})
	r.topic("t", 1)
	require.NoError(t, r.broker.groups.Update(defaultGroup("g")))
	long := strings.Repeat("x", 20_000)
	c := r.dial()
	for what, resp := range map[string]*remoting.Command{
		"topic of an offset":   c.ask(remoting.ReqGetMaxOffset, nil, "topic", long, "queueId", "0"),
		"queue of an offset":   c.ask(remoting.ReqGetMaxOffset, nil, "topic", "t", "queueId", long),
		"topic of a pull":      c.ask(remoting.ReqPullMessage, nil, pullExtOf(long, "g", 0)...),
		"group of a pull":      c.ask(remoting.ReqPullMessage, nil, pullExtOf("t", long, 0)...),
		"field of a pull":      c.ask(remoting.ReqPullMessage, nil, pullExtOf("t", "g", 0, "queueId", long)...),
		"group of members":     c.ask(remoting.ReqGetConsumerListByGroup, nil, "consumerGroup", long),
		"topic of a send":      c.ask(remoting.ReqSendMessage, "x", "topic", long, "producerGroup", "p"),
		"topic of a change":    c.ask(remoting.ReqUpdateAndCreateTopic, nil, topicExt(long)...),
		"topic of a deletion":  c.ask(remoting.ReqDeleteTopicInBroker, nil, "topic", long),
		"group of a send back": c.sendBack(&message.Message{}, "group", long),
		"offset of a message":  c.ask(remoting.ReqViewMessageByID, nil, "offset", long),
	} {
		require.NotEqual(t, remoting.RespSuccess, resp.Code, what)
		require.Less(t, len(resp.Remark), 600, what)
	}
}

func TestUnknownCodeIsNotSupported(t *testing.T) {
	c := newRig(t, nil).dial()
	resp := c.ask(4711, nil)
	require.Equal(t, remoting.RespRequestCodeNotSupported, resp.Code)
	require.Equal(t, " request type 4711 not supported", resp.Remark)
}

func FuzzPullHeader(f *testing.F) {
	f.Add("queueOffset", "12", "sysFlag", "4")
	f.Add("maxMsgNums", "-9223372036854775808", "suspendTimeoutMillis", "9223372036854775807")
	f.Fuzz(func(t *testing.T, k1, v1, k2, v2 string) {
		cmd := request(t, remoting.ReqPullMessage, nil, pullExtOf("t", "g", 0, k1, v1, k2, v2)...)
		h, bad := parsePull(cmd)
		if bad == "" {
			require.NotEmpty(t, h.topic)
			_, err := strconv.ParseInt(cmd.Get("queueOffset"), 10, 64)
			require.NoError(t, err)
		}
	})
}
