package broker

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

// halfProps are the properties of a half message of producer group pg.
func halfProps(pairs ...string) string {
	return props(append([]string{"TRAN_MSG", "true", "PGROUP", "pg", "UNIQ_KEY", "U"}, pairs...)...)
}

// prepared is a half message as its producer knows it.
type prepared struct{ slot, offset string }

func (c *client) prepare(topic, properties string) prepared {
	c.t.Helper()
	resp := c.send(topic, properties, "pay", "f", "4")
	_, offset, err := message.ParseOffsetID(resp.Get("msgId"))
	require.NoError(c.t, err)
	return prepared{resp.Get("queueOffset"), atMs(offset)}
}

// end says how a transaction ends and returns the answer.
func (c *client) end(p prepared, outcome string, change ...string) *remoting.Command {
	c.t.Helper()
	ext := []string{"producerGroup", "pg", "tranStateTableOffset", p.slot, "commitLogOffset", p.offset, "commitOrRollback", outcome, "fromTransactionCheck", "false", "msgId", "U"}
	return c.ask(remoting.ReqEndTransaction, nil, append(ext, change...)...)
}

const (
	outcomeUnknown  = "0"
	outcomeCommit   = "8"
	outcomeRollback = "12"
)

// openSlots returns how many transactions are open.
func (r *rig) openSlots() int {
	x := r.broker.prod.tx
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.open)
}

func TestACommittedMessageReachesItsTopic(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	r.topic("T", 2)
	p := c.prepare("T", halfProps("TAGS", "t1"))
	require.Nil(t, r.store.LookupQueue("T", 0), "nothing is visible yet")
	require.Equal(t, remoting.RespSuccess, c.end(p, outcomeUnknown).Code)
	require.Equal(t, 1, r.openSlots())

	resp := c.end(p, outcomeCommit)
	require.Equal(t, remoting.RespSuccess, resp.Code, resp.Remark)
	m := c.receive("T", 0)[0]
	require.Equal(t, "pay", string(m.Body))
	require.Equal(t, message.SysFlagCommit, message.TransactionType(m.SysFlag))
	require.Equal(t, p.offset, atMs(m.PreparedTxOffset))
	require.Equal(t, "U", message.Get(m.Properties, message.PropUniqKey))
	require.Equal(t, "U", message.Get(m.Properties, message.PropTransactionID))
	require.EqualValues(t, 1795409247731, m.BornMs)
	require.Zero(t, r.openSlots())

	again := c.end(p, outcomeCommit)
	require.Equal(t, remoting.RespSystemError, again.Code, "it is delivered once")
	require.Contains(t, again.Remark, "Find prepared transaction message failed")
}

func TestAHalfMessageNamesItsRealQueue(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	r.topic("T", 2)
	resp := c.send("T", halfProps("REAL_TOPIC", "forged"), "pay", "e", "1")
	require.Equal(t, "1", resp.Get("queueId"))
	_, offset, err := message.ParseOffsetID(resp.Get("msgId"))
	require.NoError(t, err)
	m := messages(t, c.ask(remoting.ReqViewMessageByID, nil, "offset", atMs(offset)))[0]
	require.Equal(t, topicHalf, m.Topic)
	require.Equal(t, "T", message.Get(m.Properties, message.PropRealTopic))
	require.Equal(t, "1", message.Get(m.Properties, message.PropRealQueueID))
	require.Zero(t, message.TransactionType(m.SysFlag))
}

func TestARolledBackMessageIsNeverSeen(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	p := c.prepare("T", halfProps())
	require.Equal(t, remoting.RespSuccess, c.end(p, outcomeRollback).Code)
	require.Zero(t, r.openSlots())
	require.Equal(t, remoting.RespSystemError, c.end(p, outcomeCommit).Code)
	require.Nil(t, r.store.LookupQueue("T", 0))
}

func TestTheDelayOfATransactionStartsAtItsCommit(t *testing.T) {
	for name, property := range map[string]string{"exact": message.PropTimerDelayMs, "level": message.PropDelayLevel} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, nil)
			c := r.dial()
			value, delay := "50", int64(50)
			if property == message.PropDelayLevel {
				value, delay = "1", 1000
			}
			p := c.prepare("T", halfProps(property, value))
			require.Zero(t, r.store.Pending(), "the half message does not wait")
			committed := r.store.NowMs()
			require.Equal(t, remoting.RespSuccess, c.end(p, outcomeCommit).Code)
			m := c.receive("T", 0)[0]
			require.GreaterOrEqual(t, m.StoreMs, committed+delay)
			require.Equal(t, "T", message.Get(m.Properties, message.PropRealTopic))
		})
	}
}

func TestAnEndingThatDoesNotFitIsRefused(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	p := c.prepare("T", halfProps())
	for name, change := range map[string][]string{
		"another slot":   {"tranStateTableOffset", "7"},
		"another offset": {"commitLogOffset", "7"},
		"another group":  {"producerGroup", "other"},
	} {
		require.Equal(t, remoting.RespSystemError, c.end(p, outcomeCommit, change...).Code, name)
	}
	for name, change := range map[string][]string{
		"no slot":         {"tranStateTableOffset", ""},
		"no offset":       {"commitLogOffset", "x"},
		"unknown outcome": {"commitOrRollback", "4"},
	} {
		require.Equal(t, remoting.RespInvalidParameter, c.end(p, outcomeCommit, change...).Code, name)
	}
	require.Equal(t, remoting.RespSuccess, c.end(p, outcomeCommit).Code, "it is open all the same")
}

func TestARetriedTransactionalMessageIsNoHalfMessage(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	_, err := r.broker.groups.Ensure("g")
	require.NoError(t, err)
	c.send("%RETRY%g", halfProps("RETRY_TOPIC", "T", "DELAY", "3"), "pay", "j", "1")
	require.Zero(t, r.openSlots())
	require.EqualValues(t, 1, r.store.Pending())
}

func TestAnOpenTransactionIsAskedFor(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	c.ask(remoting.ReqHeartBeat, heartbeat{ClientID: "p", Producers: []heartbeatProducer{{Group: "pg"}}})
	p := c.prepare("T", halfProps("KEYS", "k"))
	x, now := r.broker.prod.tx, r.store.NowMs()
	ctx := context.Background()
	x.checkDue(ctx, now)
	require.Empty(t, c.pushed, "not within the first seconds")

	x.checkDue(ctx, now+7000)
	cmd := await(t, c.pushed)
	require.Equal(t, remoting.ReqCheckTransactionState, cmd.Code)
	require.True(t, cmd.IsOneway())
	require.Equal(t, p, prepared{cmd.Get("tranStateTableOffset"), cmd.Get("commitLogOffset")})
	for field, want := range map[string]string{"msgId": "U", "transactionId": "U", "topic": "T", "bname": "broker-a"} {
		require.Equal(t, want, cmd.Get(field), field)
	}
	var m message.Message
	require.NoError(t, message.Decode(cmd.Body, &m))
	require.Equal(t, "T", m.Topic)
	require.Equal(t, "pay", string(m.Body))
	require.Equal(t, p.slot, atMs(m.QueueOffset))
	require.Equal(t, p.offset, atMs(m.PhysicalOffset))
	require.Equal(t, "1", message.Get(m.Properties, message.PropTransactionChecks))
	require.Equal(t, "k", message.Get(m.Properties, message.PropKeys))

	x.checkDue(ctx, now+8000)
	require.Empty(t, c.pushed, "not again so soon")
	require.Equal(t, remoting.RespSuccess, c.end(p, outcomeCommit, "fromTransactionCheck", "true").Code)
	require.Equal(t, "pay", string(c.receive("T", 0)[0].Body))
}

func TestATransactionIsGivenUpAfterFifteenChecks(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	p := c.prepare("T", halfProps())
	x, now := r.broker.prod.tx, r.store.NowMs()
	next := func() { now += nextCheckAfter.Milliseconds() + 1; x.checkDue(context.Background(), now) }
	for range 3 * maxChecks {
		next()
	}
	require.Equal(t, 1, r.openSlots(), "nobody was there to be asked, which does not count")

	c.ask(remoting.ReqHeartBeat, heartbeat{ClientID: "p", Producers: []heartbeatProducer{{Group: "pg"}}})
	for range maxChecks {
		next()
		await(t, c.pushed)
	}
	require.Equal(t, 1, r.openSlots())
	next()
	require.Zero(t, r.openSlots())
	require.Equal(t, remoting.RespSystemError, c.end(p, outcomeCommit).Code)
	require.Equal(t, "pay", string(c.receive(topicTransDiscard, 0)[0].Body))
}

func TestAMessageMayAskToBeLeftAloneForLonger(t *testing.T) {
	require.Equal(t, firstCheckAfter.Milliseconds(), immunityMs(""))
	require.EqualValues(t, 60_000, immunityMs(props(message.PropCheckImmunitySec, "60")))
	require.Equal(t, maxImmunity.Milliseconds(), immunityMs(props(message.PropCheckImmunitySec, "9223372036854775807")))
	for _, bad := range []string{"-1", "0", "x"} {
		require.Equal(t, firstCheckAfter.Milliseconds(), immunityMs(props(message.PropCheckImmunitySec, bad)), bad)
	}

	r := newRig(t, nil)
	c := r.dial()
	c.ask(remoting.ReqHeartBeat, heartbeat{ClientID: "p", Producers: []heartbeatProducer{{Group: "pg"}}})
	c.prepare("T", halfProps(message.PropCheckImmunitySec, "60"))
	x, now := r.broker.prod.tx, r.store.NowMs()
	x.checkDue(context.Background(), now+59_000)
	require.Empty(t, c.pushed)
	x.checkDue(context.Background(), now+61_000)
	await(t, c.pushed)
}

func TestOpenTransactionsSurviveARestart(t *testing.T) {
	st, dir := openStore(t), t.TempDir()
	b := newBroker(t, st, dir, nil)
	first := &rig{t: t, store: st, broker: b}
	first.serve()
	c := first.dial()
	var halves []prepared
	for range 6 {
		halves = append(halves, c.prepare("T", halfProps()))
	}
	require.Equal(t, remoting.RespSuccess, c.end(halves[0], outcomeCommit).Code)
	require.Equal(t, remoting.RespSuccess, c.end(halves[1], outcomeRollback).Code)
	require.Equal(t, remoting.RespSuccess, c.end(halves[3], outcomeRollback).Code)
	require.NoError(t, c.Close())
	require.NoError(t, b.Close())

	second := &rig{t: t, store: st, broker: newBroker(t, st, dir, nil)}
	second.serve()
	require.Equal(t, 3, second.openSlots())
	require.EqualValues(t, 2, second.broker.prod.tx.low)
	c = second.dial()
	require.Equal(t, remoting.RespSystemError, c.end(halves[3], outcomeCommit).Code)
	for _, i := range []int{2, 4, 5} {
		require.Equal(t, remoting.RespSuccess, c.end(halves[i], outcomeCommit).Code)
	}
	require.NoError(t, c.Close())
	require.NoError(t, second.broker.Close())

	third := newBroker(t, st, dir, nil)
	require.Empty(t, third.prod.tx.open)
	require.EqualValues(t, 6, third.prod.tx.low)
}

func TestARecordNobodyCanReadIsPassedOver(t *testing.T) {
	st, dir := openStore(t), t.TempDir()
	b := newBroker(t, st, dir, nil)
	r := &rig{t: t, store: st, broker: b}
	r.serve()
	c := r.dial()
	p := c.prepare("T", halfProps())
	c.prepare("T", halfProps())
	require.Equal(t, remoting.RespSuccess, c.end(p, outcomeRollback).Code)
	require.NoError(t, c.Close())
	require.NoError(t, b.Close())
	r.put(topicHalfOp, 0, "", "not a record", 0)

	again := newBroker(t, st, dir, nil)
	require.Len(t, again.prod.tx.open, 1)
}

func TestClaimsKeepTwoEndingsApart(t *testing.T) {
	r := newRig(t, nil)
	c := r.dial()
	c.prepare("T", halfProps())
	x := r.broker.prod.tx
	h := x.due(r.store.NowMs()+time.Hour.Milliseconds(), 1)[0]
	_, ok := x.claim(h.slot, h.loc)
	require.True(t, ok)
	_, ok = x.claim(h.slot, h.loc)
	require.False(t, ok)
	require.Empty(t, x.due(r.store.NowMs()+time.Hour.Milliseconds(), 1))
	x.release(h.slot)
	_, ok = x.claim(h.slot, h.loc)
	require.True(t, ok)
}

func TestFinishedSlotsAreReadAsWritten(t *testing.T) {
	low, slots, err := parseFinished(string(appendFinished(nil, 7, []int64{9, 8, 1 << 60})))
	require.NoError(t, err)
	require.EqualValues(t, 7, low)
	require.Equal(t, []int64{9, 8, 1 << 60}, slots)
}

func FuzzParseFinished(f *testing.F) {
	f.Add("7:9,8")
	f.Add("7:")
	f.Add(":,")
	f.Add("-1:9223372036854775808")
	f.Fuzz(func(t *testing.T, body string) {
		low, slots, err := parseFinished(body)
		if err != nil {
			require.ErrorIs(t, err, errFinished)
			return
		}
		low2, slots2, err := parseFinished(string(appendFinished(nil, low, slots)))
		require.NoError(t, err)
		require.Equal(t, low, low2)
		require.Equal(t, slots, slots2)
	})
}
