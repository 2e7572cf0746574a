package broker

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/remoting"
)

func topicExt(topic string, change ...string) []string {
	return append([]string{
		"topic", topic, "defaultTopic", "TBW102", "readQueueNums", "6", "writeQueueNums", "4", "perm", "6",
		"topicFilterType", "SINGLE_TAG", "topicSysFlag", "0", "order", "false",
	}, change...)
}

func TestTopicIsCreatedAndUpdated(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	require.Equal(t, remoting.RespSuccess, c.ask(remoting.ReqUpdateAndCreateTopic, nil, topicExt("t", "attributes", "+message.type=DELAY")...).Code)
	read, write, perm, _, ok := r.broker.Route("t")
	require.True(t, ok)
	require.Equal(t, []int32{6, 4, 6}, []int32{read, write, perm})

	require.Equal(t, remoting.RespSuccess, c.ask(remoting.ReqUpdateAndCreateTopic, nil, topicExt("t", "perm", "2", "readQueueNums", "8", "attributes", "+a=b")...).Code)
	topic, _ := r.broker.topics.Lookup("t")
	require.False(t, topic.Readable())
	require.EqualValues(t, 8, topic.ReadQueues)
	require.Equal(t, map[string]string{"message.type": "DELAY", "a": "b"}, topic.Attributes)

	require.Equal(t, remoting.RespSuccess, c.ask(remoting.ReqUpdateAndCreateTopic, nil, topicExt("t", "attributes", "-message.type, ")...).Code)
	topic, _ = r.broker.topics.Lookup("t")
	require.Equal(t, map[string]string{"a": "b"}, topic.Attributes)
}

func TestTopicThatMakesNoSenseIsRefused(t *testing.T) {
	c := newRig(t, nil).dial()
	for _, change := range [][]string{
		{"topic", "no good"},
		{"topic", ""},
		{"topic", topicTrace},
		{"readQueueNums", "0"},
		{"readQueueNums", "x"},
		{"writeQueueNums", "99999999"},
		{"perm", "64"},
		{"attributes", "x=y"},
		{"order", "maybe"},
	} {
		resp := c.ask(remoting.ReqUpdateAndCreateTopic, nil, topicExt("t", change...)...)
		require.Equal(t, remoting.RespInvalidParameter, resp.Code, change)
		require.NotEmpty(t, resp.Remark)
	}
}

func TestDeletedTopicLeavesNothingBehind(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	r.put("t", 0, "", "m", 0)
	r.broker.offsets.Commit("g", "t", 0, 1)
	c := r.dial()
	held := c.start(remoting.ReqPullMessage, suspend("t", "g", 1)...)
	r.held(1)
	require.Equal(t, remoting.RespSuccess, c.ask(remoting.ReqDeleteTopicInBroker, nil, "topic", "t").Code)
	require.NotEqual(t, remoting.RespSuccess, await(t, held).Code)
	require.Equal(t, remoting.RespTopicNotExist, c.ask(remoting.ReqPullMessage, nil, pullExtOf("t", "g", 0)...).Code)
	_, ok := r.broker.offsets.Query("g", "t", 0)
	require.False(t, ok)

	r.topic("t", 1) // anew
	r.put("t", 0, "", "new", 0)
	require.Equal(t, []string{"new"}, bodies(t, c.ask(remoting.ReqPullMessage, nil, pullExtOf("t", "g", 0)...)))

	require.Equal(t, remoting.RespSuccess, c.ask(remoting.ReqDeleteTopicInBroker, nil, "topic", "unknown").Code)
	for _, name := range []string{"", "no good", topicTrace} {
		require.Equal(t, remoting.RespInvalidParameter, c.ask(remoting.ReqDeleteTopicInBroker, nil, "topic", name).Code, name)
	}
}

func TestGroupIsCreatedAndUpdated(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	body := `{"attributes":{},"brokerId":0,"consumeBroadcastEnable":false,"consumeEnable":true,"consumeFromMinEnable":false,"consumeMessageOrderly":false,"consumeTimeoutMinute":15,"groupName":"g","groupRetryPolicy":{"type":"CUSTOMIZED"},"groupSysFlag":0,"notifyConsumerIdsChangedEnable":true,"retryMaxTimes":3,"retryQueueNums":2,"whichBrokerWhenConsumeSlowly":1}`
	require.Equal(t, remoting.RespSuccess, c.ask(remoting.ReqUpdateSubscriptionGroup, body).Code)
	g, ok := r.broker.groups.Lookup("g")
	require.True(t, ok)
	require.Equal(t, []int32{3, 2}, []int32{g.RetryMaxTimes, g.RetryQueues})
	require.False(t, g.BroadcastEnable)

	require.Equal(t, remoting.RespSuccess, c.ask(remoting.ReqUpdateSubscriptionGroup, `{"groupName":"h"}`).Code)
	h, _ := r.broker.groups.Lookup("h")
	require.Equal(t, defaultGroup("h"), h, "what is not said has its default")

	for _, bad := range []string{"", "{", `{"groupName":""}`, `{"groupName":"no good"}`, `{"groupName":"g","retryQueueNums":99999999}`} {
		require.Equal(t, remoting.RespInvalidParameter, c.ask(remoting.ReqUpdateSubscriptionGroup, bad).Code, bad)
	}
}

func TestQueuesAreLockedOverTheWire(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 2)
	c := r.dial()
	c.beat("a", "g")
	body := func(client string, queues string) string {
		return `{"clientId":"` + client + `","consumerGroup":"g","mqSet":[` + queues + `],"onlyThisBroker":false}`
	}
	const queue0, queue1, queue2 = `{"brokerName":"broker-a","queueId":0,"topic":"t"}`, `{"brokerName":"broker-a","queueId":1,"topic":"t"}`, `{"brokerName":"broker-a","queueId":2,"topic":"t"}`
	owned := func(client, queues, want string) {
		t.Helper()
		resp := c.ask(remoting.ReqLockBatchMQ, body(client, queues))
		require.Equal(t, remoting.RespSuccess, resp.Code, resp.Remark)
		require.Equal(t, `{"lockOKMQSet":[`+want+`]}`, string(resp.Body))
	}
	owned("a", queue0+","+queue2, queue0)
	owned("b", queue0+","+queue1, queue1)
	require.Equal(t, remoting.RespSuccess, c.ask(remoting.ReqUnlockBatchMQ, body("a", queue0)).Code)
	owned("b", queue0, queue0)
	require.Equal(t, remoting.RespSystemError, c.ask(remoting.ReqLockBatchMQ, "{").Code)
	require.Equal(t, remoting.RespSubscriptionGroupAbsent, c.ask(remoting.ReqLockBatchMQ, `{"clientId":"a","consumerGroup":"x"}`).Code)
}

func TestAssignmentIsComputedForTheClient(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 3)
	c := r.dial()
	c.beat("a", "g")
	r.dial().beat("b", "g")
	ask := func(client, model string) string {
		return string(c.ask(remoting.ReqQueryAssignment, `{"clientId":"`+client+`","consumerGroup":"g","messageModel":"`+model+`","strategyName":"AVG","topic":"t"}`).Body)
	}
	require.Equal(t, `{"messageQueueAssignments":[{"messageQueue":{"brokerName":"broker-a","queueId":2,"topic":"t"},"mode":"PULL"}]}`, ask("b", "CLUSTERING"))
	require.Contains(t, ask("b", "BROADCASTING"), `"queueId":0`)
	require.Equal(t, `{"messageQueueAssignments":[]}`, ask("stranger", "CLUSTERING"))
	require.Equal(t, remoting.RespTopicNotExist, c.ask(remoting.ReqQueryAssignment, `{"topic":"x"}`).Code)
	require.Equal(t, remoting.RespSystemError, c.ask(remoting.ReqQueryAssignment, `{`).Code)
}
