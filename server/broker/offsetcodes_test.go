package broker

import (
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/remoting"
)

// offset asks an offset code and returns its answer's offset.
func (c *client) offset(code int32, ext ...string) int64 {
	c.t.Helper()
	resp := c.ask(code, nil, ext...)
	require.Equal(c.t, remoting.RespSuccess, resp.Code, resp.Remark)
	n, err := resp.Int64("offset")
	require.NoError(c.t, err)
	return n
}

func TestCommittedOffsetIsFoundAgain(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 2)
	c := r.dial()
	c.beat("id", "g")
	queue := []string{"consumerGroup", "g", "topic", "t", "queueId", "1"}
	require.Equal(t, remoting.RespSuccess, c.ask(remoting.ReqUpdateConsumerOffset, nil, append(queue, "commitOffset", "42")...).Code)
	require.EqualValues(t, 42, c.offset(remoting.ReqQueryConsumerOffset, queue...))
	require.Equal(t, remoting.RespSuccess, c.ask(remoting.ReqUpdateConsumerOffset, nil, append(queue, "commitOffset", "-1")...).Code)
	require.EqualValues(t, 42, c.offset(remoting.ReqQueryConsumerOffset, queue...), "-1 is no offset")
}

func TestOneWayCommitCounts(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	c := r.dial()
	c.beat("id", "g")
	queue := []string{"consumerGroup", "g", "topic", "t", "queueId", "0"}
	require.NoError(t, c.Oneway(request(t, remoting.ReqUpdateConsumerOffset, nil, append(queue, "commitOffset", "9")...)))
	require.EqualValues(t, 9, c.offset(remoting.ReqQueryConsumerOffset, queue...))
}

func TestCommitOfStrangersIsRefused(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 1)
	c := r.dial()
	c.beat("id", "g")
	code := func(group, topic, queue, offset string) int32 {
		return c.ask(remoting.ReqUpdateConsumerOffset, nil, "consumerGroup", group, "topic", topic, "queueId", queue, "commitOffset", offset).Code
	}
	require.Equal(t, remoting.RespSubscriptionGroupAbsent, code("stranger", "t", "0", "1"))
	require.Equal(t, remoting.RespTopicNotExist, code("g", "unknown", "0", "1"))
	require.Equal(t, remoting.RespInvalidParameter, code("g", "t", "1", "1"))
	require.Equal(t, remoting.RespInvalidParameter, code("g", "t", "", "1"))
	require.Equal(t, remoting.RespSystemError, code("g", "t", "0", "x"))
}

func TestNewGroupBeginsAtTheStartWhileThatIsAtHand(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 2)
	r.put("t", 0, "", "m", 0)
	c := r.dial()
	for _, queue := range []string{"0", "1"} {
		require.Zero(t, c.offset(remoting.ReqQueryConsumerOffset, "consumerGroup", "new", "topic", "t", "queueId", queue))
		resp := c.ask(remoting.ReqQueryConsumerOffset, nil, "consumerGroup", "new", "topic", "t", "queueId", queue, "setZeroIfNotFound", "false")
		require.Equal(t, remoting.RespQueryNotFound, resp.Code)
	}
}

func TestQueueBoundsAndSearch(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 2)
	c := r.dial()
	queue := []string{"topic", "t", "queueId", "0"}
	require.Zero(t, c.offset(remoting.ReqGetMaxOffset, queue...), "a queue never used is empty")
	require.Zero(t, c.offset(remoting.ReqGetMinOffset, queue...))
	require.Zero(t, c.offset(remoting.ReqSearchOffsetByTimestamp, append(queue, "timestamp", "1")...))
	require.Equal(t, "-1", c.ask(remoting.ReqGetEarliestMsgStoreTime, nil, queue...).Get("timestamp"))

	for range 3 {
		r.put("t", 0, "", "m", 0)
	}
	require.EqualValues(t, 3, c.offset(remoting.ReqGetMaxOffset, queue...))
	require.Zero(t, c.offset(remoting.ReqGetMinOffset, queue...))
	earliest, err := c.ask(remoting.ReqGetEarliestMsgStoreTime, nil, queue...).Int64("timestamp")
	require.NoError(t, err)
	require.InDelta(t, r.store.NowMs(), earliest, float64(patience.Milliseconds()))

	at := func(ms int64, boundary string) int64 {
		return c.offset(remoting.ReqSearchOffsetByTimestamp, append(queue, "timestamp", strconv.FormatInt(ms, 10), "boundaryType", boundary)...)
	}
	require.Zero(t, at(0, "LOWER"))
	require.EqualValues(t, 3, at(r.store.NowMs()+1000, "LOWER"))
	require.Zero(t, at(0, "UPPER"))
	require.EqualValues(t, 2, at(r.store.NowMs()+1000, "UPPER"))
	require.Equal(t, remoting.RespSystemError, c.ask(remoting.ReqSearchOffsetByTimestamp, nil, append(queue, "timestamp", "x")...).Code)
}

func TestLagIsWhatAGroupHasNotCommitted(t *testing.T) {
	r := newRig(t, nil)
	r.topic("t", 2)
	for range 5 {
		r.put("t", 0, "", "m", 0)
	}
	r.broker.offsets.Commit("g", "t", 0, 2)
	r.broker.offsets.Commit("g", "t", 1, 0)
	r.broker.offsets.Commit("g", "gone", 0, 0)
	require.EqualValues(t, 3, metric(t, r.reg, "rocketmq_consumer_lag_messages"))
}
