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

	uniqLen int
	text    []byte // what the strings in ext are views of; begins with UNIQ_KEY
	ext     [6]remoting.Field
}

func (b *Broker) newAck(c *remoting.Conn, cmd *remoting.Command, topic *Topic, queueID int32, uniqKey []byte) *ack {
	a := b.prod.acks.Get().(*ack)
	a.b, a.c, a.t, a.topic, a.queueID = b, c, cmd.Token(), topic, queueID
	a.text = append(a.text[:0], uniqKey...)
	a.uniqLen = len(uniqKey)
	return a
}

func (a *ack) release() {
	p := a.b.prod
	*a = ack{text: a.text[:0]}
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
		a.b.answer(a.c, a.t, remoting.RespSuccess, "", a.fields(r))
	}
}

// fields is the header of the answer, good until a is used again.
func (a *ack) fields(r store.Result) []remoting.Field {
	b := a.text
	id := len(b)
	b = message.AppendOffsetID(b, a.b.opts.Advertise, int64(r.Loc))
	queue := len(b)
	b = strconv.AppendInt(b, int64(a.queueID), 10)
	offset := len(b)
	b = strconv.AppendInt(b, max(r.Slot, 0), 10) // a message that waits has none yet
	a.text = b
	a.ext = [6]remoting.Field{
		{Key: "msgId", Value: text(b[id:queue])},
		{Key: "queueId", Value: text(b[queue:offset])},
		{Key: "queueOffset", Value: text(b[offset:])},
		{Key: "transactionId", Value: text(b[:a.uniqLen])},
		sendExt[0], sendExt[1],
	}
	return a.ext[:]
}
