package broker

import (
	"strconv"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/store"
)

// appendInspected appends the message at loc as somebody who looks for it is to
// see it.
//
// A visible one looks as its consumers see it, with its place in the queue and the
// time at which it became visible. One that waits looks as it was stored: with the
// time at which it was, queue offset 0 because it has none, and TIMER_OUT_MS, also if
// it waits by a delay level. What tells that it waits is that it has TIMER_OUT_MS
// but not TIMER_DEQUEUE_MS.
//
// errNoMessage is wrapped when there is none at loc, or one that was recalled.
func (b *Broker) appendInspected(dst []byte, loc commitlog.Loc) ([]byte, error) {
	err := b.readMessage(loc, func(m *message.Message, stored []byte) error {
		st, err := b.store.State(loc)
		switch {
		case err != nil:
			return err
		case st.Cancelled:
			return errNoMessage
		case st.Pending:
			dst = appendPending(dst, m, stored, st.FireMs, loc)
		case st.FireMs > 0:
			d := deliveryOf(&st, loc)
			dst = appendDelivered(dst, stored, &d)
		default:
			start := len(dst)
			dst = append(dst, stored...)
			message.Patch(dst[start:], st.Slot, int64(loc))
		}
		return nil
	})
	return dst, err
}

// appendPending appends a message that waits until fireMs.
func appendPending(dst []byte, m *message.Message, stored []byte, fireMs int64, loc commitlog.Loc) []byte {
	m.Properties = message.Delete(m.Properties, message.PropTimerDequeueMs)
	if message.Get(m.Properties, message.PropTimerOutMs) == "" {
		m.Properties = message.Set(m.Properties, message.PropTimerOutMs, strconv.FormatInt(fireMs, 10))
	}
	start := len(dst)
	out, err := message.Append(dst, m)
	if err != nil { // no room for one more property
		out = append(dst, stored...)
	}
	message.Patch(out[start:], 0, int64(loc))
	return out
}

// maxSlotSearch bounds how many slots are looked at for the place of a message.
const maxSlotSearch = 4096

// deliveryOf finds the slot of the fired message at loc: near those that became
// visible at its time, unless it came late. Without it the time is the one it was
// due at, the slot 0.
func deliveryOf(st *store.State, loc commitlog.Loc) store.Delivery {
	var buf [64]store.Delivery
	if st.Queue == nil {
		return store.Delivery{Loc: loc, DeliverMs: st.FireMs}
	}
	slot := st.Queue.SearchTime(st.FireMs)
	for range maxSlotSearch / len(buf) {
		n, err := st.Queue.Read(slot, buf[:])
		if err != nil || n == 0 {
			break
		}
		for i := range buf[:n] {
			if buf[i].Loc == loc {
				return buf[i]
			}
		}
		slot = buf[n-1].Slot + 1
	}
	return store.Delivery{Loc: loc, DeliverMs: st.FireMs}
}
