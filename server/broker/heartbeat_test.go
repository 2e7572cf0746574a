package broker

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/remoting"
)

// Bodies as the clients send them.
const (
	beatGo       = `{"clientID":"192.0.2.2@i","producerDataSet":[],"consumerDataSet":[{"groupName":"g","consumeType":"CONSUME_PASSIVELY","messageModel":"CLUSTERING","consumeFromWhere":"CONSUME_FROM_FIRST_OFFSET","subscriptionDataSet":[{"classFilterMode":false,"topic":"%RETRY%g","subString":"*","tagsSet":[],"codeSet":[],"subVersion":1795409162124219747,"expressionType":"TAG"}],"unitMode":false}]}`
	beatCPP      = `{"clientID":"8053-127.0.0.1@DEFAULT","consumerDataSet":[{"consumeFromWhere":4,"consumeType":1,"groupName":"g","messageModel":1,"subscriptionDataSet":[{"classFilterMode":false,"codeSet":[],"subString":"a","subVersion":"1795407928204","tagsSet":["a"],"topic":"t"}]}]}` + "\n"
	beatProducer = `{"clientID":"p","producerDataSet":[{"groupName":"pg"},{"groupName":"CLIENT_INNER_PRODUCER"}]}` + "\n"
)

func TestHeartbeatsOfAllClientsAreUnderstood(t *testing.T) {
	var hb heartbeat
	require.NoError(t, json.Unmarshal([]byte(beatGo), &hb))
	c := hb.Consumers[0]
	require.Equal(t, []ordinal{1, 1, 4}, []ordinal{c.ConsumeType, c.MessageModel, c.ConsumeFromWhere})
	require.EqualValues(t, 1795409162124219747, c.Subscriptions[0].Version)

	hb = heartbeat{}
	require.NoError(t, json.Unmarshal([]byte(beatCPP), &hb))
	c = hb.Consumers[0]
	require.Equal(t, []ordinal{1, 1, 4}, []ordinal{c.ConsumeType, c.MessageModel, c.ConsumeFromWhere})
	require.EqualValues(t, 1795407928204, c.Subscriptions[0].Version)

	hb = heartbeat{}
	require.NoError(t, json.Unmarshal([]byte(beatProducer), &hb))
	require.Len(t, hb.Producers, 2)
}

func TestHeartbeatRegistersBeforeItIsAnswered(t *testing.T) {
	r := newRig(t, nil)
	for _, body := range []string{beatGo, beatCPP} {
		c := r.dial()
		require.Equal(t, remoting.RespSuccess, c.ask(remoting.ReqHeartBeat, body).Code)
		var hb heartbeat
		require.NoError(t, json.Unmarshal([]byte(body), &hb))
		list := c.ask(remoting.ReqGetConsumerListByGroup, nil, "consumerGroup", "g")
		require.Contains(t, string(list.Body), `"`+hb.ClientID+`"`)
	}
	_, ok := r.broker.topics.Lookup("%RETRY%g")
	require.True(t, ok, "the retry topic is there for the first route request")
	require.Equal(t, remoting.RespSuccess, r.dial().ask(remoting.ReqHeartBeat, beatProducer).Code)
	require.Len(t, r.broker.clients.Producer("pg"), 1)
}

func TestMembersHearOfEveryChange(t *testing.T) {
	r := newRig(t, nil)
	first, second := r.dial(), r.dial()
	heard := func(c *client) {
		t.Helper()
		cmd := await(t, c.pushed)
		require.Equal(t, remoting.ReqNotifyConsumerIDsChanged, cmd.Code)
		require.True(t, cmd.IsOneway())
		require.Equal(t, "g", cmd.Get("consumerGroup"))
	}
	first.beat("a", "g")
	heard(first)
	second.beat("b", "g")
	heard(first)
	heard(second)
	second.ask(remoting.ReqUnregisterClient, nil, "clientID", "b", "consumerGroup", "g", "producerGroup", "")
	heard(first)
	second.beat("b", "g")
	heard(first)
	require.NoError(t, second.Close())
	heard(first)
	require.JSONEq(t, `{"consumerIdList":["a"]}`, string(first.ask(remoting.ReqGetConsumerListByGroup, nil, "consumerGroup", "g").Body))
}

func TestSilentMemberIsNoLongerListed(t *testing.T) {
	r := newRig(t, nil)
	silent, alive := r.dial(), r.dial()
	silent.beat("silent", "g")
	await(t, silent.pushed)
	alive.beat("alive", "g")
	await(t, alive.pushed)
	cs := r.broker.clients
	cs.mu.Lock()
	for _, m := range cs.consumers["g"].members {
		if m.clientID == "silent" {
			m.beatMs -= defaultClientExpiry.Milliseconds() + 1
		}
	}
	cs.mu.Unlock()
	r.broker.expire(r.store.NowMs())
	require.Equal(t, remoting.ReqNotifyConsumerIDsChanged, await(t, alive.pushed).Code)
	require.Equal(t, []string{"alive"}, r.broker.clients.ConsumerIDs("g"))
}

func TestGroupWithoutMembersHasNoList(t *testing.T) {
	c := newRig(t, nil).dial()
	require.Equal(t, remoting.RespSystemError, c.ask(remoting.ReqGetConsumerListByGroup, nil, "consumerGroup", "g").Code)
}

func TestHeartbeatGarbageIsRefused(t *testing.T) {
	c := newRig(t, nil).dial()
	for _, body := range []string{"", "null", "{", `{"clientID":""}`, `{"clientID":"a","consumerDataSet":[{"consumeType":"X"}]}`, `{"clientID":"a","consumerDataSet":{}}`} {
		require.Equal(t, remoting.RespSystemError, c.ask(remoting.ReqHeartBeat, body).Code, body)
	}
}

func TestGroupThatMayNotExistIsPassedOver(t *testing.T) {
	r := newRig(t, &Options{})
	c := r.dial()
	require.Equal(t, remoting.RespSuccess, c.beat("a", "g").Code)
	require.Empty(t, r.broker.clients.ConsumerIDs("g"))
}

func TestAHeartbeatOfMadeUpGroupsIsCutShort(t *testing.T) {
	var log lockedBuffer
	r := newRig(t, &Options{Logger: slog.New(slog.NewTextHandler(&log, nil))})
	require.NoError(t, r.broker.groups.Update(defaultGroup("known")))
	hb := heartbeat{ClientID: "c"}
	for i := range maxHeartbeatGroups {
		hb.Producers = append(hb.Producers, heartbeatProducer{Group: fmt.Sprint("p", i)})
		hb.Consumers = append(hb.Consumers, heartbeatConsumer{Group: fmt.Sprint("c", i)})
	}
	hb.Producers = append(hb.Producers, heartbeatProducer{Group: "one-more"})
	hb.Consumers = append(hb.Consumers, heartbeatConsumer{Group: "known"})
	c := r.dial()
	require.Equal(t, remoting.RespSuccess, c.ask(remoting.ReqHeartBeat, hb).Code)
	require.Len(t, r.broker.clients.Producer(fmt.Sprint("p", maxHeartbeatGroups-1)), 1)
	require.Empty(t, r.broker.clients.Producer("one-more"))
	require.Empty(t, r.broker.clients.ConsumerIDs("known"))
	require.Less(t, strings.Count(log.String(), "consumer group refused"), maxHeartbeatGroups/2, "the log has a limit per second")
	require.Contains(t, log.String(), "consumer group refused")
}

func TestClientConfigCheckRefusesForeignFilters(t *testing.T) {
	c := newRig(t, nil).dial()
	ok := `{"clientId":"c","group":"g","subscriptionData":{"expressionType":"TAG","subString":"a || b","topic":"t"}}`
	require.Equal(t, remoting.RespSuccess, c.ask(remoting.ReqCheckClientConfig, ok).Code)
	sql := `{"clientId":"c","group":"g","subscriptionData":{"expressionType":"SQL92","subString":"a > 1","topic":"t"}}`
	require.Equal(t, remoting.RespSystemError, c.ask(remoting.ReqCheckClientConfig, sql).Code)
	require.Equal(t, remoting.RespSystemError, c.ask(remoting.ReqCheckClientConfig, "{").Code)
}

func FuzzHeartbeat(f *testing.F) {
	for _, seed := range []string{beatGo, beatCPP, beatProducer, `{"clientID":"a","consumerDataSet":[{"consumeType":"9"}]}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var hb heartbeat
		if json.Unmarshal(body, &hb) != nil {
			return
		}
		for i := range hb.Consumers {
			for _, s := range subscriptions(hb.Consumers[i].Subscriptions) {
				require.NotEmpty(t, s)
			}
		}
	})
}
