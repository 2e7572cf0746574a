package broker

import (
	"errors"
	"math/rand/v2"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

// producerHandlers are the request codes of producers, and of consumers that
// give messages back.
var producerHandlers = map[int32]handlerFunc{
	remoting.ReqSendMessage:         handleSend,
	remoting.ReqSendMessageV2:       handleSend,
	remoting.ReqSendBatchMessage:    handleSendBatch,
	remoting.ReqConsumerSendMsgBack: handleSendBack,
	remoting.ReqEndTransaction:      handleEndTransaction,
	remoting.ReqViewMessageByID:     handleViewMessage,
	remoting.ReqQueryMessage:        handleQueryMessage,
	remoting.ReqRecallMessage:       handleRecall,
}

// producerSide is what the handlers of producers share.
type producerSide struct {
	home      *home
	maxDelay  time.Duration
	refusals  refusalLines
	tx        *transactions
	recorders sync.Pool // of *recorder
	acks      sync.Pool // of *ack
}

// maxKeptRecord is the largest scratch a pooled recorder keeps: that of a batch of
// 1 MiB, which is what clients collect. A larger one was for a rare message.
const maxKeptRecord = 2 << 20

func newProducerSide(b *Broker) (*producerSide, error) {
	p := &producerSide{maxDelay: b.opts.MaxDelay}
	p.home = newHome(&b.opts, message.NewUniqKeys(b.opts.Advertise.Addr(), os.Getpid(), rand.Uint32()))
	p.recorders.New = func() any { return &recorder{home: p.home} }
	p.acks.New = func() any { return new(ack) }
	var err error
	p.tx, err = startTransactions(b, p)
	return p, err
}

func (p *producerSide) close() error { return p.tx.close() }

func (p *producerSide) recorder() *recorder { return p.recorders.Get().(*recorder) }

// recycle takes r back. Nothing of its request may be referred to any more.
func (p *producerSide) recycle(r *recorder) {
	buf := r.buf[:0]
	if cap(buf) > maxKeptRecord {
		buf = nil
	}
	*r = recorder{home: r.home, props: r.props[:0], uniq: r.uniq[:0], keys: r.keys[:0], buf: buf}
	p.recorders.Put(r)
}

// handleSend serves SEND_MESSAGE 10 and SEND_MESSAGE_V2 310: one message, stored
// for now or for later. The answer is sent when the message is durable by the
// flush policy. It carries the queue offset, which is 0 while the message waits,
// and an offset message id by which 33 finds the message at any time.
func handleSend(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	r := b.prod.recorder()
	if ref := b.send(c, cmd, r); ref != nil {
		b.refused(c, cmd.Token(), r.request.topic, ref)
	}
	b.prod.recycle(r)
}

func (b *Broker) send(c *remoting.Conn, cmd *remoting.Command, r *recorder) *refusal {
	h := &r.request
	topic, ref := b.admit(cmd, h)
	if ref != nil {
		return ref
	}
	r.info.scan(h.properties)
	if strings.HasPrefix(topic.Name, retryPrefix) {
		if topic, ref = b.redeliver(r, topic); ref != nil {
			return ref
		}
	}
	queueID, ref := pickQueue(topic, h.queueID, c)
	if ref != nil {
		return ref
	}
	r.fromSender(c)
	r.msg.Flag, r.msg.Body = h.flag, cmd.Body
	if r.isHalf() {
		return b.prepare(c, cmd, r, topic, queueID)
	}
	if ref := b.draft(r, topic, queueID); ref != nil {
		return ref
	}
	a := b.newAck(c, cmd, topic, queueID, r.uniq)
	a.recallable = r.timed
	return b.submit(r, a)
}

// admit reads the header of a send and refuses what needs no look at the
// message itself.
func (b *Broker) admit(cmd *remoting.Command, h *sendHeader) (*Topic, *refusal) {
	if ref := h.parse(cmd.Ext); ref != nil {
		return nil, ref
	}
	topic, ref := b.sendTopic(h)
	if ref != nil {
		return nil, ref
	}
	return topic, checkBody(cmd.Body, b.opts.MaxMessageSize)
}

// sendTopic finds, or creates, the topic of a send and checks that it may be
// sent to.
func (b *Broker) sendTopic(h *sendHeader) (*Topic, *refusal) {
	topic, ok := b.topics.Lookup(h.topic)
	if !ok {
		var ref *refusal
		if topic, ref = b.topicForSend(h); ref != nil {
			return nil, ref
		}
	}
	switch {
	case topic.System && isSendForbidden(topic.Name):
		return nil, refuse(remoting.RespNoPermission, "topic_forbidden", "Sending message to topic[%s] is forbidden.", topic.Name)
	case !topic.Writable():
		return nil, refuse(remoting.RespNoPermission, "topic_not_writable", "the topic[%s] sending message is forbidden", topic.Name)
	}
	return topic, nil
}

// isSendForbidden names the system topics that clients must not write to.
func isSendForbidden(topic string) bool {
	switch topic {
	case topicSchedule, topicTimer, topicHalf, topicHalfOp, topicTransDiscard, topicSelfTest, topicOffsetMoved:
		return true
	}
	return false
}

// topicForSend creates a topic that a send names and nobody created before.
func (b *Broker) topicForSend(h *sendHeader) (*Topic, *refusal) {
	if group, ok := strings.CutPrefix(h.topic, retryPrefix); ok {
		return b.retryTopic(group)
	}
	topic, err := b.topics.AutoCreate(h.topic, h.defaultTopic, h.defaultQueues)
	switch {
	case err == nil:
		return topic, nil
	case errors.Is(err, errName):
		return nil, refuse(remoting.RespInvalidParameter, "topic_name", "%v", err)
	case errors.Is(err, errNoTopic):
		return nil, refuse(remoting.RespTopicNotExist, "topic_unknown", "topic[%.255s] not exist, apply first please!", h.topic)
	}
	return nil, refuse(remoting.RespSystemError, "config_write", "%v", err)
}

// pickQueue checks the queue that a producer chose, or chooses one.
func pickQueue(topic *Topic, queueID int32, c *remoting.Conn) (int32, *refusal) {
	if queueID < 0 {
		return rand.Int32N(topic.WriteQueues), nil
	}
	if queueID >= max(topic.ReadQueues, topic.WriteQueues) {
		return 0, refuse(remoting.RespInvalidParameter, "queue_id", "request queueId[%d] is illegal, topic [%s] has readQueueNums=%d, writeQueueNums=%d Producer: %s",
			queueID, topic.Name, topic.ReadQueues, topic.WriteQueues, c.RemoteAddr())
	}
	return queueID, nil
}

// fromSender fills the fields of the message that the request's header and its
// connection tell.
func (r *recorder) fromSender(c *remoting.Conn) {
	r.msg.SysFlag = r.request.sysFlag
	r.msg.BornMs = r.request.bornMs // build takes the present when the client said nothing
	r.msg.BornHost = c.RemoteAddr()
	r.msg.ReconsumeTimes = r.request.reconsumes
}

// draft makes of r.msg and r.info what the store is to put: it resolves when
// the message is due and builds its record.
func (b *Broker) draft(r *recorder, topic *Topic, queueID int32) *refusal {
	nowMs := b.store.NowMs()
	when, ref := r.info.delay.resolve(nowMs, b.prod.maxDelay)
	if ref != nil {
		return ref
	}
	return r.draft(topic, queueID, when, nowMs)
}

// draft is Broker.draft for a message whose time is known.
func (r *recorder) draft(topic *Topic, queueID int32, when schedule, nowMs int64) *refusal {
	queue, err := topic.queue(queueID)
	if err != nil {
		return storeRefusal(err)
	}
	rec, ref := r.build(topic.Name, queueID, when, nowMs)
	if ref != nil {
		return ref
	}
	r.put.Queue, r.put.Payload = queue, rec
	return nil
}

// submit hands the draft to the store, which answers through a.
func (b *Broker) submit(r *recorder, a *ack) *refusal {
	if err := b.store.PutAsync(&r.put, a, 0); err != nil {
		a.release()
		return storeRefusal(err)
	}
	return nil
}
