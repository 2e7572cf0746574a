package tools

import (
	"context"
	"errors"
	"iter"
	"path/filepath"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/consumequeue"
	"github.com/duelog/duelog/store"
)

// maxHole is the most slots in a row that can be empty; it bounds what a wrong slot
// number can cost.
const maxHole = 1 << 26

// queueFlushEvery is how many slots of a queue are in memory at once.
const queueFlushEvery = 64 << 10

// writeQueues writes the files of all queues from the slots that are known.
func (r *repair) writeQueues(ctx context.Context) (err error) {
	entries, _ := consumequeue.ReadFormat(filepath.Join(r.dir, store.ConsumeQueueDir)) // 0, the default, if it is lost
	set, err := consumequeue.Open(filepath.Join(r.out, store.ConsumeQueueDir), &consumequeue.Options{FileEntries: int(entries)})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, set.Close()) }()
	slots, stop := pullRefs(r.slots)
	defer stop()
	for _, q := range r.m.Queues {
		w := &queueWriter{r: r, ctx: ctx, q: q, slots: slots}
		if err := w.write(set); err != nil {
			return err
		}
		r.made.Queues = append(r.made.Queues, store.ManifestQueue{ID: q.ID, Topic: q.Topic, Num: q.Num, Min: w.min, Next: w.next})
	}
	return slots.err
}

// refStream is a sorted stream with one ref of foresight.
type refStream struct {
	next func() (ref, bool)
	head ref
	ok   bool
	err  error
}

func pullRefs(s *refSorter) (*refStream, func()) {
	p := &refStream{}
	next, stop := iter.Pull(func(yield func(ref) bool) {
		enough := errors.New("enough")
		err := s.each(func(x *ref) error {
			if !yield(*x) {
				return enough
			}
			return nil
		})
		if !errors.Is(err, enough) {
			p.err = err
		}
	})
	p.next = next
	p.advance()
	return p, stop
}

func (p *refStream) advance() { p.head, p.ok = p.next() }

// of tells whether the next ref is of a queue; those of queues before it, which
// were deleted, are passed over.
func (p *refStream) of(queue uint32) bool {
	for p.ok && p.head.queue < queue {
		p.advance()
	}
	return p.ok && p.head.queue == queue
}

// queueWriter writes one queue.
type queueWriter struct {
	r     *repair
	ctx   context.Context
	q     store.ManifestQueue
	slots *refStream

	cq        *consumequeue.Queue
	min, next int64
	lastMs    int64 // when the last slot became visible
	again     []ref // messages whose slot another one has; only damage makes such
}

func (w *queueWriter) write(set *consumequeue.Set) (err error) {
	w.min = w.q.Min
	if w.slots.of(w.q.ID) && w.q.Next == 0 {
		w.min = w.slots.head.slot // the MANIFEST did not say
	}
	w.next = w.min
	if w.cq, err = set.Queue(w.q.Topic, w.q.Num, w.min, w.min); err != nil {
		return err
	}
	for w.slots.of(w.q.ID) {
		x := w.slots.head
		w.slots.advance()
		switch {
		case x.slot < w.min: // trimmed: past its retention
		case x.slot < w.next:
			w.taken(x)
		case x.slot-w.next > maxHole:
			w.again = append(w.again, x)
		default:
			err = errors.Join(w.fill(x.slot, x.ms), w.put(x))
		}
		if err != nil {
			return err
		}
	}
	if err := w.fill(w.q.Next, 1<<62); err != nil {
		return err
	}
	return w.rest()
}

// taken deals with two messages for one slot: the same one twice, or a second one,
// which gets a slot at the end.
func (w *queueWriter) taken(x ref) {
	if x.loc != w.lastLoc(x.slot) {
		w.again = append(w.again, x)
	}
}

// lastLoc is what the slot holds, if it is the last one written.
func (w *queueWriter) lastLoc(slot int64) commitlog.Loc {
	var e [1]consumequeue.Entry
	if n, err := w.cq.Read(slot, e[:]); err != nil || n == 0 {
		return 0
	}
	return commitlog.Loc(e[0].Loc)
}

// fill brings the queue up to slot, which became visible at ms, with void entries.
func (w *queueWriter) fill(slot, ms int64) error {
	for w.next < slot {
		if err := w.restore(consumequeue.Entry{Flags: consumequeue.FlagVoid, DeliverMs: w.voidMs(ms)}); err != nil {
			return err
		}
	}
	return nil
}

// voidMs is the time of an empty slot: that of its neighbour.
func (w *queueWriter) voidMs(nextMs int64) int64 {
	if nextMs < 1<<62 {
		return nextMs
	}
	return w.lastMs
}

// rest puts at the end what found its slot taken, and makes the queue durable.
func (w *queueWriter) rest() error {
	for _, x := range w.again {
		if err := w.putAt(x); err != nil {
			return err
		}
	}
	_, err := w.cq.Flush()
	return err
}

// putAt puts a message into the next slot, whichever it had.
func (w *queueWriter) putAt(x ref) error {
	x.slot, x.ms = w.next, max(x.ms, w.lastMs)
	return w.put(x)
}

func (w *queueWriter) put(x ref) error {
	flags := consumequeue.FlagScheduled
	if x.kind == refRecord {
		flags = 0
	}
	w.r.visibleCount.Add(1)
	return w.restore(consumequeue.Entry{Loc: uint64(x.loc), Size: x.size, Flags: flags, Tag: x.tag, DeliverMs: x.ms})
}

func (w *queueWriter) restore(e consumequeue.Entry) error {
	if err := w.cq.Restore(w.next, e); err != nil {
		return err
	}
	w.next++
	w.lastMs = max(w.lastMs, e.DeliverMs)
	if w.next%queueFlushEvery != 0 {
		return nil
	}
	_, err := w.cq.Flush()
	return errors.Join(err, w.ctx.Err())
}
