package broker

import (
	"context"
	"errors"
	"math/rand/v2"
	"strconv"
	"time"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

// How producers are asked about open transactions.
const (
	firstCheckAfter  = 6 * time.Second  // unless the message names its own time
	nextCheckAfter   = 30 * time.Second // and again
	maxChecks        = 15               // then the message is given up
	maxImmunity      = 24 * time.Hour   // of what CHECK_IMMUNITY_TIME_IN_SECONDS may ask for
	checkTick        = time.Second
	maxChecksPerTick = 256 // messages go along; what is left over is first at the next tick
)

// runChecks asks about transactions that are open for too long, until the broker
// closes. It also retries to record what is finished.
func (x *transactions) runChecks(ctx context.Context) {
	tick := time.NewTicker(checkTick)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			x.checkDue(ctx, x.b.store.NowMs())
			x.kick()
		}
	}
}

// checkDue asks about everything that is due at nowMs.
func (x *transactions) checkDue(ctx context.Context, nowMs int64) {
	for _, h := range x.due(nowMs, maxChecksPerTick) {
		err := x.b.readMessage(h.loc, func(m *message.Message, _ []byte) error {
			return x.check(ctx, &h, m, nowMs)
		})
		switch {
		case err == nil:
		case errors.Is(err, errNoMessage):
			x.b.log.Warn("half message is gone, transaction closed", "slot", h.slot, "error", err)
			x.abandon(&h)
		default:
			x.b.log.Warn("transaction not checked", "slot", h.slot, "error", err)
			x.postpone(h.slot, nowMs+nextCheckAfter.Milliseconds(), false)
		}
	}
}

// abandon finishes a transaction unless its producer is just ending it.
func (x *transactions) abandon(h *half) {
	if _, ok := x.claim(h.slot, h.loc); ok {
		x.finish(h.slot)
	}
}

// check asks the producer group of m about its transaction, or gives it up. A
// group that has nobody connected is not asked, and that does not count.
func (x *transactions) check(ctx context.Context, h *half, m *message.Message, nowMs int64) error {
	if from := h.storeMs + immunityMs(m.Properties); from > nowMs {
		x.postpone(h.slot, from, false)
		return nil
	}
	if h.checks >= maxChecks {
		return x.giveUp(ctx, h, m)
	}
	asked := false
	if conns := x.b.clients.Producer(message.Get(m.Properties, message.PropProducerGroup)); len(conns) > 0 {
		asked = x.ask(conns[rand.IntN(len(conns))], h, m) == nil
	}
	x.postpone(h.slot, nowMs+nextCheckAfter.Milliseconds(), asked)
	return nil
}

// immunityMs is how long after it was stored a half message is left alone.
func immunityMs(props string) int64 {
	var seconds int64
	if !parseInt64(message.Get(props, message.PropCheckImmunitySec), &seconds) || seconds <= 0 {
		return firstCheckAfter.Milliseconds()
	}
	return min(seconds, int64(maxImmunity/time.Second)) * 1000
}

// ask sends CHECK_TRANSACTION_STATE 39 with the message as it was sent. The
// answer is an END_TRANSACTION.
func (x *transactions) ask(c *remoting.Conn, h *half, m *message.Message) error {
	topic := message.Get(m.Properties, message.PropRealTopic)
	uniqKey := message.Get(m.Properties, message.PropUniqKey)
	sent := *m
	sent.Topic = topic
	parseInt32(message.Get(m.Properties, message.PropRealQueueID), &sent.QueueID)
	sent.QueueOffset, sent.PhysicalOffset = h.slot, int64(h.loc)
	if p := message.Set(m.Properties, message.PropTransactionChecks, strconv.Itoa(h.checks+1)); len(p) <= message.MaxProperties {
		sent.Properties = p
	}
	body, err := message.Append(nil, &sent)
	if err != nil {
		return err
	}
	cmd := remoting.NewRequest(remoting.ReqCheckTransactionState,
		remoting.Field{Key: "tranStateTableOffset", Value: strconv.FormatInt(h.slot, 10)},
		remoting.Field{Key: "commitLogOffset", Value: strconv.FormatInt(int64(h.loc), 10)},
		remoting.Field{Key: "msgId", Value: uniqKey},
		remoting.Field{Key: "transactionId", Value: uniqKey},
		remoting.Field{Key: "offsetMsgId", Value: message.OffsetID(x.b.opts.Advertise, int64(h.loc))},
		remoting.Field{Key: "topic", Value: topic},
		remoting.Field{Key: "bname", Value: x.b.opts.BrokerName})
	cmd.Body = body
	return c.Oneway(cmd)
}

// giveUp moves a message that nobody decides on to topicTransDiscard.
func (x *transactions) giveUp(ctx context.Context, h *half, m *message.Message) error {
	if _, ok := x.claim(h.slot, h.loc); !ok {
		return nil
	}
	if err := x.put(ctx, topicTransDiscard, m); err != nil {
		x.release(h.slot)
		return err
	}
	x.finish(h.slot)
	x.b.log.Warn("transaction given up", "topic", message.Get(m.Properties, message.PropRealTopic),
		"producer_group", message.Get(m.Properties, message.PropProducerGroup), "checks", h.checks)
	return nil
}
