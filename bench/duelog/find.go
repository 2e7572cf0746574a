package duelog

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

// findSlack is how far slots of a queue may be out of the order of their times.
const findSlack = time.Second

// Find implements bench.Finder. The message is in a slot of its queue, or waits in the
// delay index, or the store has lost it.
func (e *Embedded) Find(ctx context.Context, id uint64, due time.Time, is func(body []byte) bool) string {
	f := finder{store: e.store, queue: e.queues[queueOf(id)], is: is}
	said := f.visible(ctx, due)
	if said == "" {
		said = f.pending(ctx, due)
	}
	switch {
	case said != "":
	case ctx.Err() != nil:
		said = "not found in time"
	default:
		said = "it is not in its queue and does not wait"
	}
	return fmt.Sprintf("%s; queue %d has slots %d to %d%s%s", said, f.queue.ID(), f.queue.Min(), f.queue.Max(), e.readers(queueOf(id)), f.troubles())
}

// readers says how far the subscribers of queue n are.
func (e *Embedded) readers(n int) string {
	e.mu.Lock()
	defer e.mu.Unlock()
	var s strings.Builder
	for group, positions := range e.positions {
		fmt.Fprintf(&s, ", group %s reads slot %d next", group, positions[n].Load())
	}
	return s.String()
}

// finder looks for one message.
type finder struct {
	store *store.Store
	queue *store.Queue
	is    func(body []byte) bool

	void   int   // slots that are past their retention
	failed int   // messages that cannot be read,
	err    error // and why the first one cannot
}

// troubles says what may have hidden the message.
func (f *finder) troubles() string {
	var s string
	if f.void > 0 {
		s += fmt.Sprintf(", of which %d are void", f.void)
	}
	if f.err != nil {
		s += fmt.Sprintf(", %d messages cannot be read, the first one because: %v", f.failed, f.err)
	}
	return s
}

// visible looks in the queue, from due on if that is known.
func (f *finder) visible(ctx context.Context, due time.Time) string {
	slot := f.queue.Min()
	if !due.IsZero() {
		slot = f.queue.SearchTime(due.Add(-findSlack).UnixMilli())
	}
	var buf [256]store.Delivery
	for ctx.Err() == nil {
		n, err := f.queue.Read(slot, buf[:])
		f.note(err)
		if n == 0 {
			return ""
		}
		for i := range buf[:n] {
			d := &buf[i]
			if d.Void {
				f.void++
			} else if f.has(d.Loc, d.Size) {
				return fmt.Sprintf("slot %d has had it since %s, stored at %v", d.Slot, clockTime(d.DeliverMs), d.Loc)
			}
		}
		slot = buf[n-1].Slot + 1
	}
	return ""
}

// pending looks among what waits for due, or, if that is not known, for any time that
// has come.
func (f *finder) pending(ctx context.Context, due time.Time) string {
	from, to := int64(0), f.store.NowMs()+1
	if !due.IsZero() {
		from, to = due.UnixMilli(), due.UnixMilli()+1
	}
	for m, err := range f.store.PendingAfter(store.PendingPosition{FireMs: from}, to) {
		if f.note(err) || ctx.Err() != nil {
			break
		}
		if m.Queue == f.queue && f.has(m.Loc, m.Size) {
			return fmt.Sprintf("it waits for %s, stored at %v", clockTime(m.FireMs), m.Loc)
		}
	}
	return ""
}

// has reports whether the message at loc is the one.
func (f *finder) has(loc commitlog.Loc, size int32) bool {
	v, err := f.store.Read(loc, size)
	if f.note(err) {
		return false
	}
	defer v.Release()
	return f.is(v.Bytes())
}

// note remembers an error and reports whether there is one.
func (f *finder) note(err error) bool {
	if err == nil {
		return false
	}
	if f.failed++; f.err == nil {
		f.err = err
	}
	return true
}

func clockTime(ms int64) string { return time.UnixMilli(ms).UTC().Format("2006-01-02T15:04:05.000Z") }
