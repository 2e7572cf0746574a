package broker

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// handleSendBatch serves SEND_BATCH_MESSAGE 320: several messages for one queue.
// Each becomes a record of its own, with its own properties and so with its own
// delay; the header's properties are not merged into them. All are checked before
// the first is stored. They are stored in order, but not as one: a failure of
// the store may leave the first ones stored although the answer is an error.
func handleSendBatch(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	r := b.prod.recorder()
	if ref := b.batchSend(c, cmd, r); ref != nil {
		b.refused(c, cmd.Token(), r.request.topic, ref)
	}
	b.prod.recycle(r)
}

func (b *Broker) batchSend(c *remoting.Conn, cmd *remoting.Command, r *recorder) *refusal {
	h := &r.request
	topic, ref := b.admit(cmd, h)
	if ref != nil {
		return ref
	}
	if strings.HasPrefix(topic.Name, retryPrefix) {
		return refuse(remoting.RespMessageIllegal, "batch_to_retry", "batch request does not support retry group %s", topic.Name)
	}
	queueID, ref := pickQueue(topic, h.queueID, c)
	if ref != nil {
		return ref
	}
	drafts, ref := b.draftBatch(c, cmd, r, topic, queueID)
	if ref != nil {
		return ref
	}
	b.submitBatch(drafts, b.newBatchAck(c, cmd, topic, queueID, len(drafts)))
	return nil
}

// recordExtra is about what a record has beyond the body and the properties that
// its producer sent.
const recordExtra = 256

// checkBatch counts the messages of a batch, or refuses it.
func (b *Broker) checkBatch(body []byte) (n int, _ *refusal) {
	for item, err := range message.Batch(body) {
		if err != nil {
			return 0, refuse(remoting.RespMessageIllegal, "bad_batch", "the message is illegal, %v", err)
		}
		if ref := checkBody(item.Body, b.opts.MaxMessageSize); ref != nil {
			return 0, ref
		}
		n++
	}
	return n, nil
}

// draftBatch builds the records of all messages of a batch.
func (b *Broker) draftBatch(c *remoting.Conn, cmd *remoting.Command, r *recorder, topic *Topic, queueID int32) ([]store.Message, *refusal) {
	n, ref := b.checkBatch(cmd.Body)
	if ref != nil {
		return nil, ref
	}
	r.buf = slices.Grow(r.buf, len(cmd.Body)+n*recordExtra)
	drafts := make([]store.Message, 0, n)
	for item := range message.Batch(cmd.Body) {
		r.fromSender(c)
		r.msg.Flag, r.msg.Body = item.Flag, item.Body
		r.info.scan(item.Properties)
		if ref := b.draft(r, topic, queueID); ref != nil {
			return nil, ref
		}
		drafts = append(drafts, r.put)
	}
	return drafts, nil
}

// submitBatch hands the drafts to the store in order. After the first that it
// refuses the others are not tried.
func (b *Broker) submitBatch(drafts []store.Message, a *batchAck) {
	for i := range drafts {
		if err := b.store.PutAsync(&drafts[i], a, uint64(i)); err != nil {
			a.refused(len(drafts)-i, err)
			return
		}
	}
}

// batchAck answers a batch when the store is done with all of its messages.
type batchAck struct {
	b       *Broker
	c       *remoting.Conn
	t       remoting.Token
	topic   *Topic
	queueID int32
	uniqKey string // of the batch as a whole; most clients give none

	mu        sync.Mutex // messages of different delays are done on different goroutines
	left      int        // guarded by mu, as what follows
	locs      []int64
	bytes     int
	firstSlot int64
	err       error
}

func (b *Broker) newBatchAck(c *remoting.Conn, cmd *remoting.Command, topic *Topic, queueID int32, n int) *batchAck {
	h := cmd.Get("i")
	return &batchAck{
		b: b, c: c, t: cmd.Token(), topic: topic, queueID: queueID, uniqKey: strings.Clone(message.Get(h, message.PropUniqKey)),
		left: n, locs: make([]int64, n), firstSlot: math.MaxInt64,
	}
}

// PutDone implements store.Completer; cookie is the message's place in the batch.
func (a *batchAck) PutDone(cookie uint64, r store.Result, err error) {
	a.mu.Lock()
	if err != nil {
		a.err = err
	} else {
		a.locs[cookie] = int64(r.Loc)
		a.bytes += int(r.Size)
		if r.Slot >= 0 {
			a.firstSlot = min(a.firstSlot, r.Slot)
		}
	}
	a.doneLocked(1)
}

// refused notes that the last n messages will not be stored.
func (a *batchAck) refused(n int, err error) {
	a.mu.Lock()
	a.err = err
	a.doneLocked(n)
}

// doneLocked counts n messages down, unlocks, and answers after the last one.
func (a *batchAck) doneLocked(n int) {
	a.left -= n
	last := a.left == 0
	a.mu.Unlock()
	if last {
		a.answer()
	}
}

func (a *batchAck) answer() {
	if a.err != nil {
		a.b.refused(a.c, a.t, a.topic.Name, storeRefusal(a.err))
		return
	}
	a.topic.in.add(len(a.locs), a.bytes)
	if !a.t.Oneway {
		a.b.answer(a.c, a.t, remoting.RespSuccess, "", a.fields())
	}
}

// fields is the header of the answer: the ids of all messages and the first of
// their queue offsets, 0 while all of them wait.
func (a *batchAck) fields() []remoting.Field {
	if a.firstSlot == math.MaxInt64 {
		a.firstSlot = 0
	}
	ids := make([]byte, 0, 33*len(a.locs))
	for i, loc := range a.locs {
		if i > 0 {
			ids = append(ids, ',')
		}
		ids = message.AppendOffsetID(ids, a.b.opts.Advertise, loc)
	}
	fields := []remoting.Field{
		{Key: "msgId", Value: string(ids)},
		{Key: "queueId", Value: strconv.Itoa(int(a.queueID))},
		{Key: "queueOffset", Value: strconv.FormatInt(a.firstSlot, 10)},
		sendExt[0], sendExt[1],
	}
	if a.uniqKey != "" {
		fields = append(fields, remoting.Field{Key: "transactionId", Value: a.uniqKey})
	}
	return fields
}
