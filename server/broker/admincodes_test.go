package broker

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/remoting"
)

// answer asks and decodes the JSON of a success.
func answer[T any](t *testing.T, c *client, code int32, ext ...string) T {
	t.Helper()
	return answerBody[T](t, c.ask(code, nil, ext...))
}

func TestTopicStatsAreWrittenTheWayToolsReadThem(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 2)
	r.put("t", 1, "", "m", 0)
	c := r.dial()
	resp := c.ask(remoting.ReqGetTopicStatsInfo, nil, "topic", "t")
	q, _ := r.broker.topics.Lookup("t")
	ms := strconv.FormatInt(lastVisibleMs(q.lookup(1), 1), 10)
	require.NotEqual(t, "0", ms)
	require.Equal(t, `{"offsetTable":{{"brokerName":"broker-a","queueId":0,"topic":"t"}:{"lastUpdateTimestamp":0,"maxOffset":0,"minOffset":0},`+
		`{"brokerName":"broker-a","queueId":1,"topic":"t"}:{"lastUpdateTimestamp":`+ms+`,"maxOffset":1,"minOffset":0}},"topicPutTps":0.0}`, string(resp.Body))
	require.Equal(t, remoting.RespTopicNotExist, c.ask(remoting.ReqGetTopicStatsInfo, nil, "topic", "none").Code)
}

func TestConsumeStatsTellWhatAGroupHasLeft(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	r.topic("u", 1)
	for range 3 {
		r.put("t", 0, "", "m", 0)
	}
	_, err := r.broker.groups.Ensure("g")
	require.NoError(t, err)
	c := r.dial()
	require.Equal(t, `{"consumeTps":0.0,"offsetTable":{}}`, string(c.ask(remoting.ReqGetConsumeStats, nil, "consumerGroup", "g").Body))
	r.broker.offsets.Commit("g", "t", 0, 2)
	resp := c.ask(remoting.ReqGetConsumeStats, nil, "consumerGroup", "g")
	require.Contains(t, string(resp.Body), `{{"brokerName":"broker-a","queueId":0,"topic":"t"}:{"brokerOffset":3,"consumerOffset":2,"lastTimestamp":`)
	resp = c.ask(remoting.ReqGetConsumeStats, nil, "consumerGroup", "g", "topic", "u")
	require.Contains(t, string(resp.Body), `"topic":"u"}:{"brokerOffset":0,"consumerOffset":0,"lastTimestamp":0`)
	require.Equal(t, remoting.RespSubscriptionGroupAbsent, c.ask(remoting.ReqGetConsumeStats, nil, "consumerGroup", "none").Code)

	require.Equal(t, []string{"t"}, answer[map[string][]string](t, c, remoting.ReqQueryTopicsByConsumer, "group", "g")["topicList"])
	require.Equal(t, []string{"g"}, answer[map[string][]string](t, c, remoting.ReqQueryTopicConsumeByWho, "topic", "t")["groupList"])
	require.Equal(t, map[string]map[string]map[string]int64{"offsetTable": {"t@g": {"0": 2}}},
		answer[map[string]map[string]map[string]int64](t, c, remoting.ReqGetAllConsumerOffset))
}

func TestConnectionsAreListed(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	require.Equal(t, remoting.RespConsumerNotOnline, c.ask(remoting.ReqGetConsumerConnectionList, nil, "consumerGroup", "g").Code)
	require.Equal(t, remoting.RespSystemError, c.ask(remoting.ReqGetProducerConnectionList, nil, "producerGroup", "p").Code)
	c.ask(remoting.ReqHeartBeat, heartbeat{ClientID: "me", Producers: []heartbeatProducer{{"p"}}, Consumers: []heartbeatConsumer{{
		Group: "g", MessageModel: 1, ConsumeType: 1, Subscriptions: []heartbeatSubscription{{Topic: "t", Expression: "a"}},
	}}})
	list := answer[consumerConnections](t, c, remoting.ReqGetConsumerConnectionList, "consumerGroup", "g")
	require.Len(t, list.Connections, 1)
	require.Equal(t, "me", list.Connections[0].ClientID)
	require.Equal(t, "GO", list.Connections[0].Language)
	require.Equal(t, []string{"CONSUME_PASSIVELY", "CLUSTERING", "CONSUME_FROM_LAST_OFFSET", "a"},
		[]string{list.Type, list.Model, list.FromWhere, list.Subscriptions["t"].Expression})
	producers := answer[map[string][]connection](t, c, remoting.ReqGetProducerConnectionList, "producerGroup", "p")
	require.Len(t, producers["connectionSet"], 1)
	require.Equal(t, []string{"t"}, r.broker.topicsOfGroup("g"))
	require.Equal(t, []string{"g"}, r.broker.groupsOfTopic("t"))
}

func TestConfigurationIsListedAndAGroupDeleted(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 3)
	_, err := r.broker.groups.Ensure("g")
	require.NoError(t, err)
	c := r.dial()
	topics := answer[topicsJSON](t, c, remoting.ReqGetAllTopicConfig)
	require.EqualValues(t, 3, topics.Table["t"].ReadQueues)
	require.Contains(t, topics.Table, "TBW102")
	system := answer[map[string][]string](t, c, remoting.ReqGetSystemTopicsFromBroker)["topicList"]
	require.Contains(t, system, "TBW102")
	require.NotContains(t, system, "t")
	require.EqualValues(t, 3, answer[topicConfig](t, c, remoting.ReqGetTopicConfig, "topic", "t").WriteQueues)
	require.Contains(t, answer[groupsJSON](t, c, remoting.ReqGetAllSubscriptionGroup).Table, "g")
	require.Equal(t, "g", answer[Group](t, c, remoting.ReqGetSubscriptionGroupConfig, "group", "g").Name)

	r.broker.offsets.Commit("g", "t", 0, 1)
	require.Equal(t, remoting.RespInvalidParameter, c.ask(remoting.ReqDeleteSubscriptionGroup, nil, "groupName", "TOOLS_CONSUMER").Code)
	require.Equal(t, remoting.RespSuccess, c.ask(remoting.ReqDeleteSubscriptionGroup, nil, "groupName", "g").Code)
	require.Equal(t, remoting.RespSubscriptionGroupAbsent, c.ask(remoting.ReqGetSubscriptionGroupConfig, nil, "group", "g").Code)
	_, kept := r.broker.offsets.Query("g", "t", 0)
	require.True(t, kept)
	require.Equal(t, remoting.RespSuccess, c.ask(remoting.ReqDeleteSubscriptionGroup, nil, "groupName", "g", "cleanOffset", "true").Code)
	_, kept = r.broker.offsets.Query("g", "t", 0)
	require.False(t, kept)
}

func TestRuntimeInfoHasWhatToolsSplit(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	r.put("t", 0, "", "m", 0)
	r.put("t", 0, "", "m", r.store.NowMs()+3_600_000)
	table := answer[map[string]map[string]string](t, r.dial(), remoting.ReqGetBrokerRuntimeInfo)["table"]
	for _, name := range []string{"putTps", "getTransferredTps", "getTotalTps", "getFoundTps", "getMissTps"} {
		require.Len(t, strings.Fields(table[name]), 3, name)
	}
	require.Equal(t, "1", table["timerCongestNum"])
	require.Equal(t, "1", table["duelogPending"])
	require.NotEqual(t, "-1", table["earliestMessageTimeStamp"])
}
