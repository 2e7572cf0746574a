package broker

import (
	"strconv"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// sendExt is in every answer to a producer: Java clients look for both fields
// without checking that there are any.
var sendExt = []remoting.Field{{Key: message.PropMsgRegion, Value: regionName}, {Key: message.PropTraceOn, Value: traceOn}}

// ack answers a send when the store is done with it. It is pooled: between the
// request and its answer a message costs no allocation here.
type ack struct {
	b       *Broker
	c       *remoting.Conn
	t       remoting.Token
	topic   *Topic
	queueID int32
	half    bool // a half message: its transaction is open from now on

	recallable bool // the answer carries a recall handle if the message waits

	uniq []byte             // UNIQ_KEY; in room if it fits
	room [usualUniqKey]byte // the ack is out of the caches when it is answered, so it is one piece
}

// usualUniqKey is how long a UNIQ_KEY may be without an allocation; those of clients
// have 32 characters, or 56 with an IPv6 address in them.
const usualUniqKey = 56

func (b *Broker) newAck(c *remoting.Conn, cmd *remoting.Command, topic *Topic, queueID int32, uniqKey []byte) *ack {
	a := b.prod.acks.Get().(*ack)
	a.b, a.c, a.t, a.topic, a.queueID = b, c, cmd.Token(), topic, queueID
	a.uniq = append(a.room[:0], uniqKey...)
	return a
}

func (a *ack) release() {
	p := a.b.prod
	*a = ack{}
	p.acks.Put(a)
}

// PutDone implements store.Completer.
func (a *ack) PutDone(_ uint64, r store.Result, err error) {
	defer a.release()
	if err != nil {
		a.b.refused(a.c, a.t, a.topic.Name, storeRefusal(err))
		return
	}
	a.topic.in.add(1, int(r.Size))
	if a.half {
		a.b.prod.tx.opened(r)
	}
	if !a.t.Oneway {
		var buf [256]byte // enough for an IPv6 address and the recall handle of most topics
		ext, n := a.fields(buf[:0], r)
		a.b.answer(a.c, a.t, remoting.RespSuccess, "", ext[:n])
	}
}

// fields is the header of the answer, of which the first n count, its strings views of
// a and of what it appends to b.
func (a *ack) fields(b []byte, r store.Result) (ext [7]remoting.Field, n int) {
	b = message.AppendOffsetID(b, a.b.opts.Advertise, int64(r.Loc))
	queue := len(b)
	b = strconv.AppendInt(b, int64(a.queueID), 10)
	offset := len(b)
	b = strconv.AppendInt(b, max(r.Slot, 0), 10) // a message that waits has none yet
	handle := len(b)
	if a.recallable && r.FireMs > 0 {
		b = message.AppendRecallHandle(b, &message.RecallHandle{Topic: a.topic.Name, Broker: a.b.opts.BrokerName, ID: text(a.uniq), DueMs: r.FireMs})
	}
	ext = [7]remoting.Field{
		{Key: "msgId", Value: text(b[:queue])},
		{Key: "queueId", Value: text(b[queue:offset])},
		{Key: "queueOffset", Value: text(b[offset:handle])},
		{Key: "transactionId", Value: text(a.uniq)},
		sendExt[0], sendExt[1],
		{Key: "recallHandle", Value: text(b[handle:])},
	}
	if handle == len(b) {
		return ext, 6
	}
	return ext, 7
}
