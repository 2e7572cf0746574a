package broker

import (
	"bytes"
	"context"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// sendBack gives m back on behalf of group g and returns the answer.
func (c *client) sendBack(m *message.Message, change ...string) *remoting.Command {
	c.t.Helper()
	ext := []string{"group", "g", "offset", atMs(m.PhysicalOffset), "delayLevel", "0", "originTopic", "T", "maxReconsumeTimes", "16", "unitMode", "false"}
	return c.ask(remoting.ReqConsumerSendMsgBack, nil, append(ext, change...)...)
}

// consumed sends a message to T and returns it as a consumer of group g got it.
func consumed(r *rig, c *client, properties string) message.Message {
	_, err := r.broker.groups.Ensure("g")
	require.NoError(r.t, err)
	c.send("T", properties, "work")
	return c.receive("T", 0)[0]
}

func TestAMessageSentBackComesAgainThroughTheDelayLevels(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	m := consumed(r, c, props("UNIQ_KEY", "U", "TAGS", "t1", "DELAY", "0", "WAIT", "true"))
	before := r.store.NowMs()
	resp := c.sendBack(&m, "delayLevel", "1")
	require.Equal(t, remoting.RespSuccess, resp.Code, resp.Remark)

	again := c.receive("%RETRY%g", 0)[0]
	require.GreaterOrEqual(t, again.StoreMs, before+1000)
	require.Equal(t, "work", string(again.Body))
	require.EqualValues(t, 1, again.ReconsumeTimes)
	require.Equal(t, m.BornMs, again.BornMs)
	require.Equal(t, m.BornHost, again.BornHost)
	for name, want := range map[string]string{
		"UNIQ_KEY": "U", "TAGS": "t1", "DELAY": "1", "WAIT": "false", "RETRY_TOPIC": "T", "REAL_TOPIC": "%RETRY%g", "REAL_QID": "0",
		"ORIGIN_MESSAGE_ID": message.OffsetID(defaultAdvertise, m.PhysicalOffset),
	} {
		require.Equal(t, want, message.Get(again.Properties, name), name)
	}

	require.Equal(t, remoting.RespSuccess, c.sendBack(&again, "delayLevel", "1").Code)
	third := c.receive("%RETRY%g", 1)[0]
	require.EqualValues(t, 2, third.ReconsumeTimes)
	require.Equal(t, "T", message.Get(third.Properties, "RETRY_TOPIC"), "where it came from first")
	require.Equal(t, message.OffsetID(defaultAdvertise, m.PhysicalOffset), message.Get(third.Properties, "ORIGIN_MESSAGE_ID"))
}

func TestEachRedeliveryWaitsALevelLonger(t *testing.T) {
	r := newRig(t, nil)
	b := r.broker
	group, err := b.groups.Ensure("g")
	require.NoError(t, err)
	for reconsumes, want := range map[int32]int32{0: 3, 1: 4, 14: 17, 15: 18} {
		topic, level, ref := b.backTopic(&message.Message{ReconsumeTimes: reconsumes}, &sendBackHeader{maxReconsumes: -1}, group)
		require.Nil(t, ref)
		require.Equal(t, "%RETRY%g", topic.Name)
		require.Equal(t, want, level)
	}
}

func TestAMessageGivenUpGoesToTheDeadLetterTopicAtOnce(t *testing.T) {
	for name, change := range map[string][]string{
		"its level is negative":  {"delayLevel", "-1"},
		"it was its last chance": {"maxReconsumeTimes", "0"},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			c := r.dial()
			m := consumed(r, c, props("UNIQ_KEY", "U", "TIMER_DELAY_MS", "20"))
			require.Equal(t, remoting.RespSuccess, c.sendBack(&m, change...).Code)
			dead := c.receive("%DLQ%g", 0)[0]
			require.Equal(t, "work", string(dead.Body))
			require.Equal(t, "0", message.Get(dead.Properties, "DELAY"))
			require.Equal(t, "T", message.Get(dead.Properties, "RETRY_TOPIC"))
			require.Equal(t, message.Get(m.Properties, "TIMER_OUT_MS"), message.Get(dead.Properties, "TIMER_OUT_MS"), "it is not timed again")
			require.EqualValues(t, 1, dead.ReconsumeTimes)
		})
	}
}

func TestASendBackThatCannotBeServedIsRefused(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	m := consumed(r, c, "")
	require.Equal(t, remoting.RespSubscriptionGroupAbsent, c.sendBack(&m, "group", "nobody").Code)
	resp := c.sendBack(&m, "offset", "123456")
	require.Equal(t, remoting.RespSystemError, resp.Code)
	require.Contains(t, resp.Remark, "look message by offset failed, 123456")
	require.Equal(t, remoting.RespInvalidParameter, c.sendBack(&m, "offset", "x").Code)
	require.Equal(t, remoting.RespInvalidParameter, c.sendBack(&m, "delayLevel", "x").Code)

	_, err := r.broker.topics.Ensure("%RETRY%g", 1, 1, permRead)
	require.NoError(t, err)
	require.Equal(t, remoting.RespNoPermission, c.sendBack(&m).Code)
}

// Stored again it would get a fresh checksum, and nobody could tell any more.
func TestADamagedMessageIsNeitherShownNorStoredAgain(t *testing.T) {
	r := newRig(t, nil)
	topic := r.topic("T", 1)
	_, err := r.broker.groups.Ensure("g")
	require.NoError(t, err)
	rec, err := message.Append(nil, &message.Message{Topic: "T", Body: []byte("pay 100")})
	require.NoError(t, err)
	at := bytes.Index(rec, []byte("100"))
	rec[at] ^= 8 // "pay 900"
	q, err := topic.queue(0)
	require.NoError(t, err)
	res, err := r.store.Put(context.Background(), &store.Message{Queue: q, Payload: rec})
	require.NoError(t, err)
	c := r.dial()
	resp := c.sendBack(&message.Message{PhysicalOffset: int64(res.Loc)}, "delayLevel", "-1")
	require.Equal(t, remoting.RespSystemError, resp.Code)
	_, ok := r.broker.topics.Lookup("%DLQ%g")
	require.False(t, ok, "nothing was given up")
	resp = c.ask(remoting.ReqViewMessageByID, nil, "offset", strconv.FormatInt(int64(res.Loc), 10))
	require.Equal(t, remoting.RespSystemError, resp.Code)
	require.EqualValues(t, 2, metric(t, r.reg, "duelog_damaged_records_total"))
}

func TestAGroupWithoutRetriesDropsWhatIsSentBack(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	m := consumed(r, c, "")
	group := *defaultGroup("g")
	group.RetryQueues = 0
	require.NoError(t, r.broker.groups.Update(&group))
	require.Equal(t, remoting.RespSuccess, c.sendBack(&m).Code)
	require.Zero(t, r.store.Pending())
}

func TestAConsumerMaySendItsRetryItself(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	_, err := r.broker.groups.Ensure("g")
	require.NoError(t, err)
	retry := props("UNIQ_KEY", "U", "RETRY_TOPIC", "T", "DELAY", "3", "TIMER_OUT_MS", "1", "TIMER_DELIVER_MS", "x")
	c.send("%RETRY%g", retry, "work", "j", "3", "l", "3")
	require.EqualValues(t, 1, r.store.Pending(), "it waits on its level")

	c.send("%RETRY%g", retry, "work", "j", "4", "l", "3")
	dead := c.receive("%DLQ%g", 0)[0]
	require.Equal(t, "work", string(dead.Body))
	require.EqualValues(t, 4, dead.ReconsumeTimes)
	require.Equal(t, "0", message.Get(dead.Properties, "DELAY"))
	c.send("%RETRY%g", retry, "work", "j", "17")
	require.Len(t, c.receive("%DLQ%g", 1), 1, "without l the group's limit holds")
}
