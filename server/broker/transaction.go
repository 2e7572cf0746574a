package broker

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// Life of a transactional message:
//
//	send with TRAN_MSG=true ──> half message in topicHalf, open
//	    END_TRANSACTION commit ────> copy in its real topic, delay applied now ──> finished
//	    END_TRANSACTION rollback ──────────────────────────────────────────────> finished
//	    neither: the producer group is asked, again and again (transactioncheck.go)
//	finished ──> its slot stands in a record of topicHalfOp (transactionop.go)
//
// What is open is known in memory, and again after a restart, from the two topics
// alone. A crash between the copy and the record that says finished makes the
// producer be asked once more; its answer then delivers the message a second time.

// isHalf says whether the send that r serves opens a transaction. A message that
// came back from a consumer still says TRAN_MSG, but its transaction is over.
func (r *recorder) isHalf() bool {
	if !strings.EqualFold(r.info.transaction, "true") {
		return false
	}
	return r.request.reconsumes <= 0 || r.info.delay.level == ""
}

// prepare stores the message that r serves as a half message. Its delay is
// checked now, so that the producer hears of a bad one, and applied at commit.
func (b *Broker) prepare(c *remoting.Conn, cmd *remoting.Command, r *recorder, topic *Topic, queueID int32) *refusal {
	nowMs := b.store.NowMs()
	if _, ref := r.info.delay.resolve(nowMs, b.prod.maxDelay); ref != nil {
		return ref
	}
	r.info.scan(halfProperties(&r.request, &r.info, topic.Name, queueID))
	r.msg.SysFlag = message.WithTransactionType(r.msg.SysFlag, 0)
	half, _ := b.topics.Lookup(topicHalf)
	if ref := r.draft(half, 0, schedule{}, nowMs); ref != nil {
		return ref
	}
	a := b.newAck(c, cmd, half, queueID, r.uniq)
	a.half = true
	return b.submit(r, a)
}

// halfProperties are the producer's, with where the message is to go.
func halfProperties(h *sendHeader, p *properties, topic string, queueID int32) string {
	props := message.AppendFiltered(nil, p.raw, func(name string) bool {
		return name != message.PropRealTopic && name != message.PropRealQueueID && name != message.PropTransactionID
	})
	if message.Get(p.raw, message.PropProducerGroup) == "" {
		props = message.AppendProperty(props, message.PropProducerGroup, h.group)
	}
	props = message.AppendProperty(props, message.PropTransactionID, p.uniqKey)
	props = message.AppendProperty(props, message.PropRealTopic, topic)
	return string(message.AppendProperty(props, message.PropRealQueueID, strconv.Itoa(int(queueID))))
}

// ending is the header of END_TRANSACTION, its strings views of the request.
type ending struct {
	group   string
	slot    int64 // of the half message in its queue
	loc     commitlog.Loc
	outcome int32 // message.SysFlagCommit, SysFlagRollback, or 0: not known yet
}

func parseEnding(cmd *remoting.Command) (e ending, err error) {
	e.group = cmd.Get("producerGroup")
	if e.slot, err = cmd.Int64("tranStateTableOffset"); err != nil {
		return e, err
	}
	loc, err := cmd.Int64("commitLogOffset")
	if err != nil {
		return e, err
	}
	e.loc = commitlog.Loc(loc)
	if e.outcome, err = cmd.Int32("commitOrRollback"); err != nil {
		return e, err
	}
	switch e.outcome {
	case 0, message.SysFlagCommit, message.SysFlagRollback:
		return e, nil
	}
	return e, fmt.Errorf("header field commitOrRollback: %d is none of 0, 8, 12", e.outcome)
}

// handleEndTransaction serves END_TRANSACTION 37: the producer's word on a half
// message. One that says "not known yet" changes nothing. One that comes twice,
// or for a message that is not open, is refused; Java clients send it one-way
// and do not notice.
func handleEndTransaction(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	e, err := parseEnding(cmd)
	if err != nil {
		b.refused(c, cmd.Token(), topicHalf, refuse(remoting.RespInvalidParameter, "bad_header", "%v", err))
		return
	}
	if e.outcome == 0 {
		b.reply(c, cmd, remoting.RespSuccess, "")
		return
	}
	if ref := b.endTransaction(c, cmd, &e); ref != nil {
		b.refused(c, cmd.Token(), topicHalf, ref)
	}
}

func (b *Broker) endTransaction(c *remoting.Conn, cmd *remoting.Command, e *ending) *refusal {
	tx := b.prod.tx
	h, ok := tx.claim(e.slot, e.loc)
	if !ok {
		return refuse(remoting.RespSystemError, "transaction_unknown", "Find prepared transaction message failed: %d at %d is not open", e.slot, int64(e.loc))
	}
	var ref *refusal
	err := b.readMessage(h.loc, func(m *message.Message, _ []byte) error {
		ref = b.endHalf(c, cmd, e, m)
		return nil
	})
	if err != nil {
		ref = refuse(remoting.RespSystemError, "no_message", "Find prepared transaction message failed: %v", err)
	}
	if ref != nil {
		tx.release(e.slot)
	}
	return ref
}

// endHalf ends the transaction of m, which is claimed. When it returns a refusal
// the transaction is open as before.
func (b *Broker) endHalf(c *remoting.Conn, cmd *remoting.Command, e *ending, m *message.Message) *refusal {
	if group := message.Get(m.Properties, message.PropProducerGroup); group != e.group {
		return refuse(remoting.RespSystemError, "transaction_group", "The producer group wrong: %.255s", e.group)
	}
	if e.outcome == message.SysFlagRollback {
		b.prod.tx.finish(e.slot)
		b.reply(c, cmd, remoting.RespSuccess, "")
		return nil
	}
	return b.commit(c, cmd, e, m)
}

// commit stores the copy of a half message that consumers will see.
func (b *Broker) commit(c *remoting.Conn, cmd *remoting.Command, e *ending, m *message.Message) *refusal {
	topic, queueID, ref := b.realQueue(m)
	if ref != nil {
		return ref
	}
	r := b.prod.recorder()
	defer b.prod.recycle(r)
	r.copyOf(m)
	r.msg.SysFlag = message.WithTransactionType(m.SysFlag, message.SysFlagCommit)
	r.msg.PreparedTxOffset = int64(e.loc)
	r.info.scan(m.Properties)
	if ref := b.draft(r, topic, queueID); ref != nil {
		return ref
	}
	a := &commitAck{plainAck: plainAck{b: b, c: c, t: cmd.Token(), topic: topic}, slot: e.slot}
	if err := b.store.PutAsync(&r.put, a, 0); err != nil {
		return storeRefusal(err)
	}
	return nil
}

// realQueue returns the queue that a half message is meant for.
func (b *Broker) realQueue(half *message.Message) (*Topic, int32, *refusal) {
	name := message.Get(half.Properties, message.PropRealTopic)
	topic, ok := b.topics.Lookup(name)
	if !ok {
		return nil, 0, refuse(remoting.RespTopicNotExist, "topic_unknown", "topic[%.255s] not exist, apply first please!", name)
	}
	var queueID int32
	if !parseInt32(message.Get(half.Properties, message.PropRealQueueID), &queueID) || queueID < 0 || queueID >= topic.WriteQueues {
		queueID = 0 // the topic has fewer queues than it had
	}
	return topic, queueID, nil
}

// commitAck finishes the transaction when its copy is durable.
type commitAck struct {
	plainAck
	slot int64
}

// PutDone implements store.Completer.
func (a *commitAck) PutDone(cookie uint64, r store.Result, err error) {
	if err != nil {
		a.b.prod.tx.release(a.slot)
	} else {
		a.b.prod.tx.finish(a.slot)
	}
	a.plainAck.PutDone(cookie, r, err)
}
