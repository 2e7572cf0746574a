package broker

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

// sendExtOf is the header of a SEND_MESSAGE_V2, changed by the given keys and values.
func sendExtOf(topic, properties string, change ...string) []string {
	ext := []string{
		"a", "pg", "b", topic, "c", topicAutoCreate, "d", "4", "e", "0", "f", "0", "g", "1795409247731",
		"h", "0", "i", properties, "j", "0", "k", "false", "m", "false", "n", "broker-a",
	}
	return append(ext, change...)
}

// send sends one message and returns the answer, which has to be a success.
func (c *client) send(topic, properties, body string, change ...string) *remoting.Command {
	c.t.Helper()
	resp := c.ask(remoting.ReqSendMessageV2, body, sendExtOf(topic, properties, change...)...)
	require.Equal(c.t, remoting.RespSuccess, resp.Code, resp.Remark)
	return resp
}

// receive waits for the messages of queue 0 from offset on.
func (c *client) receive(topic string, offset int64) []message.Message {
	c.t.Helper()
	return messages(c.t, await(c.t, c.start(remoting.ReqPullMessage, pullExtOf(topic, "g", offset, "sysFlag", "6")...)))
}

func TestASendIsAnsweredAsClientsExpect(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	c.send("T", "", "first")
	resp := c.send("T", props("UNIQ_KEY", "FD0000000000000000000000000000021F97"), "second")
	require.Equal(t, "0", resp.Get("queueId"))
	require.Equal(t, "1", resp.Get("queueOffset"))
	require.Equal(t, "FD0000000000000000000000000000021F97", resp.Get("transactionId"))
	require.Equal(t, "DefaultRegion", resp.Get("MSG_REGION"))
	require.Equal(t, "true", resp.Get("TRACE_ON"))
	require.Empty(t, resp.Get("recallHandle"), "not served yet")
	host, _, err := message.ParseOffsetID(resp.Get("msgId"))
	require.NoError(t, err)
	require.Equal(t, defaultAdvertise, host)
}

func TestBothHeaderFormsOfASend(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	resp := c.ask(remoting.ReqSendMessage, "prime",
		"AccessKey", "", "OnsChannel", "ALIYUN", "Signature", "xAUXCtFUi9t8M9WxTerLnPmfvE4=", "batch", "0", "bornTimestamp", "1795407928193",
		"defaultTopic", "TBW102", "defaultTopicQueueNums", "4", "flag", "5", "producerGroup", "pg",
		"properties", props("KEYS", "key-prime", "TAGS", "TagA", "property", "test"), "queueId", "3", "reconsumeTimes", "0", "sysFlag", "1", "topic", "T", "unitMode", "0")
	require.Equal(t, remoting.RespSuccess, resp.Code, resp.Remark)
	require.Equal(t, "3", resp.Get("queueId"))

	m := messages(t, c.ask(remoting.ReqPullMessage, nil, pullExtOf("T", "g", 0, "queueId", "3")...))[0]
	require.Equal(t, "prime", string(m.Body))
	require.EqualValues(t, 5, m.Flag)
	require.EqualValues(t, 1, m.SysFlag)
	require.EqualValues(t, 1795407928193, m.BornMs)
	require.EqualValues(t, 3, m.QueueID)
	require.Equal(t, "T", m.Topic)
	require.Equal(t, "127.0.0.1", m.BornHost.Addr().String())
	require.Equal(t, defaultAdvertise, m.StoreHost)
	require.Equal(t, resp.Get("transactionId"), message.Get(m.Properties, message.PropUniqKey), "a key was made")
	require.Equal(t, "test", message.Get(m.Properties, "property"))
	require.Equal(t, resp.Get("msgId"), message.OffsetID(defaultAdvertise, m.PhysicalOffset))
}

func TestTheBrokerChoosesAQueueWhenAsked(t *testing.T) {
	r := newRig(t, nil)
	r.topic("T", 1)
	require.Equal(t, "0", r.dial().send("T", "", "x", "e", "-1").Get("queueId"))
}

func TestEverySpellingOfADelayIsHonouredAndVisible(t *testing.T) {
	for name, tc := range map[string]struct {
		property, value string
		delayMs         int64
	}{
		"milliseconds": {message.PropTimerDelayMs, "60", 60},
		"seconds":      {message.PropTimerDelaySec, "1", 1000},
		"level":        {message.PropDelayLevel, "1", 1000},
		"deliver at":   {message.PropTimerDeliverMs, "", 3000},
		"hosted":       {message.PropStartDeliver, "", 3000},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t, nil)
			c := r.dial()
			before := r.store.NowMs()
			value, due := tc.value, before+tc.delayMs
			if value == "" {
				value = atMs(due)
			}
			resp := c.send("T", props("UNIQ_KEY", "U", "TAGS", "TagA", tc.property, value), "later")
			require.Equal(t, "0", resp.Get("queueOffset"))
			require.Equal(t, "U", resp.Get("transactionId"))

			got := c.receive("T", 0)
			require.Len(t, got, 1)
			m := got[0]
			require.Equal(t, "later", string(m.Body))
			require.GreaterOrEqual(t, m.StoreMs, due, "never early, and the store time is the fire time")
			require.EqualValues(t, 1795409247731, m.BornMs)
			require.Zero(t, m.QueueOffset)
			require.Equal(t, value, message.Get(m.Properties, tc.property))
			require.Equal(t, "U", message.Get(m.Properties, message.PropUniqKey))
			require.Equal(t, "T", message.Get(m.Properties, message.PropRealTopic))
			require.Equal(t, "0", message.Get(m.Properties, message.PropRealQueueID))
			if tc.property == message.PropDelayLevel {
				require.Empty(t, message.Get(m.Properties, message.PropTimerOutMs))
				return
			}
			require.Equal(t, atMs(m.StoreMs), message.Get(m.Properties, message.PropTimerDequeueMs))
			var out int64
			require.True(t, parseInt64(message.Get(m.Properties, message.PropTimerOutMs), &out))
			require.GreaterOrEqual(t, out, due)
			require.LessOrEqual(t, out, m.StoreMs)
		})
	}
}

func TestAPastTimeIsDeliveredAtOnceWithItsProperty(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	past := atMs(r.store.NowMs() - 5000)
	resp := c.send("T5", props("UNIQ_KEY", "U", "TIMER_DELIVER_MS", past), "x")
	require.Empty(t, resp.Get("recallHandle"))
	m := c.receive("T5", 0)[0]
	require.Equal(t, past, message.Get(m.Properties, message.PropTimerDeliverMs))
	require.Empty(t, message.Get(m.Properties, message.PropTimerOutMs))
	require.Empty(t, message.Get(m.Properties, message.PropRealTopic))
}

func TestARefusedSendSaysWhyAndStoresNothing(t *testing.T) {
	r := newRig(t, &Options{AutoCreateTopic: true, AutoCreateGroup: true, MaxMessageSize: 100})
	r.topic("T", 2)
	_, err := r.broker.topics.Ensure("readonly", 1, 1, permRead)
	require.NoError(t, err)
	c := r.dial()
	far := atMs(r.store.NowMs() + testMaxDelay.Milliseconds() + 60_000)
	for name, tc := range map[string]struct {
		ext    []string
		body   string
		code   int32
		remark string
	}{
		"no topic field":        {[]string{"a", "pg"}, "x", remoting.RespInvalidParameter, "topic is missing"},
		"queue is no number":    {sendExtOf("T", "", "e", "abc"), "x", remoting.RespInvalidParameter, `"e": "abc" is not a number`},
		"unknown topic":         {sendExtOf("new", "", "c", "missing"), "x", remoting.RespTopicNotExist, "topic[new] not exist, apply first please!"},
		"illegal topic":         {sendExtOf("a b", ""), "x", remoting.RespInvalidParameter, "contains illegal characters, allowing only ^[%|a-zA-Z0-9_-]+$"},
		"long topic":            {sendExtOf(strings.Repeat("t", 128), ""), "x", remoting.RespInvalidParameter, "longer than topic max length 127."},
		"level topic":           {sendExtOf(topicSchedule, ""), "x", remoting.RespNoPermission, "Sending message to topic[SCHEDULE_TOPIC_XXXX] is forbidden."},
		"half topic":            {sendExtOf(topicHalf, ""), "x", remoting.RespNoPermission, "is forbidden."},
		"self test topic":       {sendExtOf(topicSelfTest, ""), "x", remoting.RespNoPermission, "is forbidden."},
		"topic without write":   {sendExtOf("readonly", ""), "x", remoting.RespNoPermission, "the topic[readonly] sending message is forbidden"},
		"queue beyond":          {sendExtOf("T", "", "e", "2"), "x", remoting.RespInvalidParameter, "request queueId[2] is illegal"},
		"empty body":            {sendExtOf("T", ""), "", remoting.RespMessageIllegal, "body is empty"},
		"body too large":        {sendExtOf("T", ""), strings.Repeat("x", 101), remoting.RespMessageIllegal, "msg body length limit 100B"},
		"properties too long":   {sendExtOf("T", props("a", strings.Repeat("x", 32760))), "x", remoting.RespMessageIllegal, "msg properties length limit 32767B"},
		"time is no number":     {sendExtOf("T", props("TIMER_DELIVER_MS", "abc")), "x", remoting.RespMessageIllegal, "timer message illegal"},
		"level is no number":    {sendExtOf("T", props("DELAY", "abc")), "x", remoting.RespMessageIllegal, "timer message illegal"},
		"time too far":          {sendExtOf("T", props("TIMER_DELIVER_MS", far)), "x", remoting.RespMessageIllegal, "the max delay of 31622400000 ms (366 days)"},
		"hosted time too far":   {sendExtOf("T", props("__STARTDELIVERTIME", far)), "x", remoting.RespMessageIllegal, "366 days"},
		"retry, group unknown":  {sendExtOf("%RETRY%nobody", ""), "x", remoting.RespSubscriptionGroupAbsent, "subscription group not exist, nobody"},
		"transaction, bad time": {sendExtOf("T", props("TRAN_MSG", "true", "TIMER_DELAY_MS", "x")), "x", remoting.RespMessageIllegal, "timer message illegal"},
	} {
		t.Run(name, func(t *testing.T) {
			resp := c.ask(remoting.ReqSendMessageV2, tc.body, tc.ext...)
			require.Equal(t, tc.code, resp.Code, resp.Remark)
			require.Contains(t, resp.Remark, tc.remark)
		})
	}
	require.Zero(t, r.store.Pending())
	for _, queueID := range []int32{0, 1} {
		if q := r.store.LookupQueue("T", queueID); q != nil {
			require.Zero(t, q.Max())
		}
	}
	require.NotContains(t, r.broker.topics.Names(), "new")
}

func TestAOnewaySendIsStoredAndNotAnswered(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	require.NoError(t, c.Oneway(request(t, remoting.ReqSendMessageV2, "quiet", sendExtOf("T", "")...)))
	require.NoError(t, c.Oneway(request(t, remoting.ReqSendMessageV2, "", sendExtOf("T", "")...)), "a refusal is not answered either")
	c.send("T", "", "loud") // the next answer on the connection is for this one
	require.Equal(t, []string{"quiet", "loud"}, bodies(t, c.ask(remoting.ReqPullMessage, nil, pullExtOf("T", "g", 0)...)))
}

func TestAClosedStoreRefusesAsUnavailable(t *testing.T) {
	r := newRig(t, nil)
	r.topic("T", 1)
	c := r.dial()
	c.send("T", "", "x")
	require.NoError(t, r.store.Close())
	resp := c.ask(remoting.ReqSendMessageV2, "y", sendExtOf("T", "")...)
	require.Equal(t, remoting.RespServiceNotAvailable, resp.Code)
	require.Contains(t, resp.Remark, "service not available now. It may be caused by one of the following reasons")
	require.Contains(t, resp.Remark, "message store has been shut down")
}

func TestAMessageIsFoundByItsIDWhileItWaitsAndAfter(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	for name, properties := range map[string]string{
		"ordinary": props("UNIQ_KEY", "U1"),
		"waiting":  props("UNIQ_KEY", "U2", "TIMER_DELAY_SEC", "3600"),
		"far":      props("UNIQ_KEY", "U3", "TIMER_DELAY_SEC", "864000"),
	} {
		sent := c.send("T", properties, name)
		_, offset, err := message.ParseOffsetID(sent.Get("msgId"))
		require.NoError(t, err)
		got := messages(t, c.ask(remoting.ReqViewMessageByID, nil, "offset", atMs(offset), "topic", "T"))
		require.Len(t, got, 1)
		require.Equal(t, name, string(got[0].Body))
		require.Equal(t, offset, got[0].PhysicalOffset)
		require.Equal(t, sent.Get("transactionId"), message.Get(got[0].Properties, message.PropUniqKey))
	}
}

func TestAnOffsetWithoutAMessageIsNotFound(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	sent := c.send("T", "", strings.Repeat("x", 500))
	_, offset, err := message.ParseOffsetID(sent.Get("msgId"))
	require.NoError(t, err)
	for _, bad := range []int64{-1, 0, 1, offset - 1, offset + 1, offset + 300, 1 << 40, int64(commitlog.MakeLoc(2, 4096)), int64(commitlog.MakeLoc(99, 0))} {
		resp := c.ask(remoting.ReqViewMessageByID, nil, "offset", atMs(bad))
		require.Equal(t, remoting.RespSystemError, resp.Code, bad)
		require.Equal(t, "can not find message by the offset, "+atMs(bad), resp.Remark)
	}
	require.Equal(t, remoting.RespInvalidParameter, c.ask(remoting.ReqViewMessageByID, nil, "offset", "x").Code)
}

func TestTheKeysOfClientsFitIntoAnAck(t *testing.T) {
	r := newRig(t, nil)
	for _, key := range []string{"C00002021AE618B4AAC2000000000000", "FD000000000000000000000000000002231430946E09723F8C8D0000"} {
		a := r.broker.newAck(nil, remoting.NewRequest(remoting.ReqSendMessageV2), nil, 0, []byte(key))
		require.Equal(t, key, string(a.uniq))
		require.Same(t, &a.room[0], &a.uniq[0], "else it is an allocation per message")
		a.release()
	}
}
