package broker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/store"
)

// A record of topicHalfOp is a message whose body is text,
//
//	<low>:<slot>,<slot>,...
//
// all decimal: these slots of topicHalf are finished, and so is, once this record
// is stored, every slot below low. So recovery looks at the last record for low,
// at the slots of topicHalf from low on, and at the records that were written
// since the half message in slot low: some minutes' worth, whatever is on disk.

// maxFinishedPerRecord bounds a record; more go into further ones.
const maxFinishedPerRecord = 4096

// recordSkewMs is by how much the clock may have been set back between a half
// message and the record that finishes it without recovery missing the record.
const recordSkewMs = 60_000

var errFinished = errors.New("malformed record of finished transactions")

func appendFinished(dst []byte, low int64, slots []int64) []byte {
	dst = strconv.AppendInt(dst, low, 10)
	for i, slot := range slots {
		sep := byte(',')
		if i == 0 {
			sep = ':'
		}
		dst = strconv.AppendInt(append(dst, sep), slot, 10)
	}
	return dst
}

// parseFinished reads what appendFinished wrote.
func parseFinished(body string) (low int64, slots []int64, err error) {
	head, list, ok := strings.Cut(body, ":")
	if !ok {
		return 0, nil, fmt.Errorf("%w: no colon", errFinished)
	}
	if low, err = parseSlot(head); err != nil {
		return 0, nil, err
	}
	for s := range strings.SplitSeq(list, ",") {
		slot, err := parseSlot(s)
		if err != nil {
			return 0, nil, err
		}
		slots = append(slots, slot)
	}
	return low, slots, nil
}

func parseSlot(s string) (int64, error) {
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%w: slot %.40q", errFinished, s)
	}
	return n, nil
}

// restore finds the open transactions in the two topics. A record that cannot be
// read is passed over: its producers are asked once more.
func (x *transactions) restore() error {
	halves := x.queue(topicHalf)
	if halves == nil {
		return nil
	}
	records := x.queue(topicHalfOp)
	low, err := x.lastLow(records)
	if err != nil {
		return err
	}
	x.low = max(low, halves.Min())
	if err := x.eachSlot(halves, x.low, func(d *store.Delivery) { x.openLocked(d.Slot, d.Loc, d.DeliverMs) }); err != nil {
		return err
	}
	x.next = halves.Max()
	return x.dropFinished(records)
}

// lastLow returns low of the last readable record, 0 if there is none.
func (x *transactions) lastLow(records *store.Queue) (low int64, err error) {
	if records == nil {
		return 0, nil
	}
	for slot := records.Max() - 1; slot >= records.Min(); slot-- {
		found := false
		var d [1]store.Delivery
		switch _, err := records.Read(slot, d[:]); {
		case err == nil:
		case passing(err):
			return 0, fmt.Errorf("read slot %d of %s: %w", slot, topicHalfOp, err)
		default:
			continue // an older record only makes recovery look at more
		}
		x.readRecord(&d[0], func(l int64, _ []int64) { low, found = l, true })
		if found {
			break
		}
	}
	return low, nil
}

// dropFinished closes what the records say is finished. Records from before the
// oldest open half message cannot be about it.
func (x *transactions) dropFinished(records *store.Queue) error {
	if records == nil || len(x.open) == 0 {
		return nil
	}
	oldest := int64(0)
	for _, h := range x.open {
		if oldest == 0 || h.storeMs < oldest {
			oldest = h.storeMs
		}
	}
	return x.eachSlot(records, records.SearchTime(oldest-recordSkewMs), func(d *store.Delivery) {
		x.readRecord(d, func(_ int64, slots []int64) {
			for _, slot := range slots {
				delete(x.open, slot)
			}
		})
	})
}

// readRecord calls use with the content of the record at d, if it can be read.
func (x *transactions) readRecord(d *store.Delivery, use func(low int64, slots []int64)) {
	if d.Void {
		return
	}
	err := x.b.readMessage(d.Loc, func(m *message.Message, _ []byte) error {
		low, slots, err := parseFinished(string(m.Body))
		if err == nil {
			use(low, slots)
		}
		return err
	})
	if err != nil {
		x.b.log.Warn("record of finished transactions passed over", "slot", d.Slot, "error", err)
	}
}

// queue returns the only queue of a topic of the broker's own, nil if it was
// never used.
func (x *transactions) queue(topicName string) *store.Queue {
	topic, _ := x.b.topics.Lookup(topicName)
	return topic.lookup(0)
}

// eachSlot calls visit for the messages of q from slot from on. Slots whose bytes
// are damaged are passed over: they must not keep the broker from starting.
func (x *transactions) eachSlot(q *store.Queue, from int64, visit func(*store.Delivery)) error {
	var buf [64]store.Delivery
	damaged := 0
	for from = max(from, q.Min()); from < q.Max(); {
		n, err := q.Read(from, buf[:])
		for i := range buf[:n] {
			if !buf[i].Void {
				visit(&buf[i])
			}
		}
		from += int64(n)
		switch {
		case err == nil && n == 0:
			from = q.Max()
		case err == nil:
		case passing(err):
			return fmt.Errorf("read queue %d of %s from slot %d: %w", q.ID(), q.Topic(), from, err)
		default:
			from++
			damaged++
		}
	}
	if damaged > 0 {
		x.b.log.Error("damaged slots passed over", "topic", q.Topic(), "slots", damaged)
	}
	return nil
}
