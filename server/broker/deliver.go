package broker

import (
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"syscall"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// batch is what one look at a queue found for a consumer. Pooled.
type batch struct {
	scratch [pullMaxMessages]store.Delivery
	found   []store.Delivery
	views   []commitlog.View // of found, one each
	bytes   int
}

var batches = sync.Pool{New: func() any { return new(batch) }}

// free gives the records back to the store and the batch to the pool.
func (t *batch) free() {
	for i := range t.views {
		t.views[i].Release()
	}
	clear(t.views)
	t.views, t.found, t.bytes = t.views[:0], t.found[:0], 0
	batches.Put(t)
}

// deliver answers p with messages, if its queue has any for its consumer from
// p.next on. It moves p.next behind what it has looked at. When it returns
// false nothing was answered.
func (b *Broker) deliver(p *pull) bool {
	t := batches.Get().(*batch)
	defer t.free()
	err := b.collect(p, t)
	if len(t.found) > 0 {
		b.sendBatch(p, t)
		return true
	}
	if err != nil {
		b.log.Warn("pull not served", "pull", p, "error", err)
		b.answerPullError(p, err)
		return true
	}
	return false
}

// collect gathers messages up to the limits of p. An error means that reading
// may succeed later; what was gathered before stays valid.
func (b *Broker) collect(p *pull, t *batch) error {
	for budget := pullMaxScanned; budget > 0; {
		n, err := p.queue.Read(p.next, t.scratch[:min(len(t.scratch), budget)])
		for i := range t.scratch[:n] {
			full, err := b.consider(p, t, &t.scratch[i])
			if full || err != nil {
				return err
			}
		}
		budget -= n
		switch {
		case err == nil && n == 0:
			return nil
		case err == nil:
		case passing(err):
			return err
		case p.next < p.queue.Min(): // retention was faster than the pull
			p.next = p.queue.Min()
		default:
			b.skipDamaged(p, p.next, err)
			p.next++
			budget--
		}
	}
	return nil
}

// consider adds the message of one queue slot to t if it is for the consumer,
// and moves p.next behind the slot unless t has no room for it.
func (b *Broker) consider(p *pull, t *batch, d *store.Delivery) (full bool, err error) {
	if !d.Void && p.filter.match(d.Tag) {
		if len(t.found) > 0 && (len(t.found) == p.maxMessages || t.bytes+int(d.Size) > p.maxBytes) {
			return true, nil
		}
		if err := b.add(t, d); err != nil {
			if passing(err) {
				return false, err
			}
			b.skipDamaged(p, d.Slot, err)
		}
	}
	p.next = d.Slot + 1
	return len(t.found) == p.maxMessages, nil
}

// add reads the record of d into t.
func (b *Broker) add(t *batch, d *store.Delivery) error {
	view, err := b.store.Read(d.Loc, d.Size)
	if err != nil {
		return err
	}
	if err := checkRecord(view.Bytes()); err != nil {
		view.Release()
		return err
	}
	t.views = append(t.views, view)
	t.found = append(t.found, *d)
	t.bytes += int(d.Size)
	return nil
}

// passing tells whether an error of the store is about the present moment
// rather than about the bytes on disk: what failed so may be read later and
// must not be skipped.
func passing(err error) bool {
	return slices.ContainsFunc(passingErrors, func(target error) bool { return errors.Is(err, target) })
}

// The three ErrClosed say that the store closes or that the topic was deleted.
var passingErrors = []error{
	store.ErrClosed, store.ErrQueueDeleted, commitlog.ErrClosed,
	syscall.EMFILE, syscall.ENFILE, syscall.ENOMEM, syscall.EINTR,
}

// skipDamaged counts and logs a slot whose message cannot be had. The consumer
// gets the rest: one bad record must not stop it.
func (b *Broker) skipDamaged(p *pull, offset int64, err error) {
	b.metrics.damaged.Inc()
	if ok, skipped := b.damagedLines.allow(b.store.NowMs() / 1000); ok {
		b.log.Error("damaged message skipped", "topic", p.topic.Name, "queue", p.queue.ID(), "offset", offset,
			"group", p.group.Name, "error", err, "not_logged", skipped)
	}
}

// sendBatch answers p with the records of t, copied straight into the
// connection's buffer.
func (b *Broker) sendBatch(p *pull, t *batch) {
	if p.token.Oneway {
		return
	}
	var ext pullExt
	err := p.conn.ReplyFunc(p.token, remoting.RespSuccess, pullRemarks[remoting.RespSuccess], ext.fields(p), t.bytes, func(dst []byte) []byte {
		for i := range t.found {
			dst = appendDelivered(dst, t.views[i].Bytes(), &t.found[i])
		}
		return dst
	})
	switch {
	case err == nil:
		b.metrics.delivered(p.topic.Name, p.group.Name, len(t.found), t.bytes)
	case errors.Is(err, remoting.ErrTooLarge): // nothing was sent, and an answer is owed
		b.answerPullError(p, err)
	case errors.Is(err, remoting.ErrSlowReader): // the same; it gets them when it has read what it was sent
		p.next = t.found[0].Slot
		b.answerEmpty(p)
	}
}

// answerPullError tells the client to come back later.
func (b *Broker) answerPullError(p *pull, err error) {
	if p.token.Oneway {
		return
	}
	var ext pullExt
	_ = p.conn.Reply(p.token, remoting.RespSystemError, err.Error(), ext.fields(p), nil) // see reply
}

// checkRecord tells what is wrong with a record. What it lets pass cannot
// break a client: one bad record would make it drop the whole answer.
func checkRecord(rec []byte) error {
	var m message.Message
	if err := message.Decode(rec, &m); err != nil {
		return err
	}
	if n := binary.BigEndian.Uint32(rec); int(n) != len(rec) {
		return fmt.Errorf("%w: %d bytes in a record of %d", message.ErrSize, n, len(rec))
	}
	return message.CheckBody(&m)
}
