package tools

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

// Slots that nobody is known to have
//
// Of a message that has fired journal or queue say the slot. Where the files of a queue are
// damaged, or a batch of the journal is and the queues were not written yet, there is the
// evidence of the other slots. A queue gives each of its slots once, in the order of firing,
// and nothing in a queue overtakes what is due before it. So between two messages of a queue
// that are known to have fired, whatever was due between them has fired too, into the slots
// between theirs: the last ones of them, since those that had the first may be lost, or have
// been trimmed.
//
// Whether it has fired the mark of the MANIFEST says, up to the last checkpoint. What fired
// after it, or without a MANIFEST anything, is in doubt: by the order it has fired if it was
// due before something that has. If there are fewer such slots than messages this cannot be
// so for all of them (one was stored so late that its time had passed, or the clock was set
// back), and it is said of none. Behind the last message that is known to have fired there
// is no such limit but the time of an ordinary message, which has its slot in its record: what
// was due by then is said to have fired if there are exactly as many slots in front of it.
//
// What has fired by this gets its slot. Of the rest nobody knows, so it fires again, which
// is said: better twice than never.

// inDoubt tells whether messages may have fired of which neither mark, journal nor queues
// say so.
func (r *repair) inDoubt() bool { return r.markLost || r.journalLost }

// lacksSlots tells whether there are messages that have fired whose slot nobody says.
func (r *repair) lacksSlots() bool { return r.inDoubt() || r.allSlotsBad || len(r.badSlots) > 0 }

// inferFired finds out by the slots of the queues what has fired, and adds it, with its slots,
// to what is known to refer to records.
func (r *repair) inferFired(ctx context.Context) error {
	known, due := newRefSorter(r.out, bySlot), newRefSorter(r.out, byFiring)
	defer known.close()
	defer due.close()
	if err := r.evidence(ctx, known, due); err != nil {
		return err
	}
	all := newRefSorter("", byLoc)
	err := errors.Join(r.eachRef(all.add), r.bySlots(ctx, known, due, all))
	if err != nil {
		all.close()
		return err
	}
	r.refs.close()
	r.refs, err = all.table()
	return err
}

// byFiring is the order in which the messages of a queue fire: of two that are due in one
// millisecond the one of the higher lane waited longer.
func byFiring(a, b *ref) int {
	return cmp.Or(cmp.Compare(a.queue, b.queue), cmp.Compare(a.ms, b.ms), cmp.Compare(b.loc.Lane(), a.loc.Lane()), cmp.Compare(a.loc, b.loc))
}

// eachRef visits what refers to records.
func (r *repair) eachRef(visit func(ref) error) (err error) {
	c, err := r.refs.from(0)
	for err == nil && !c.ended {
		if err = visit(c.head); err == nil {
			err = c.advance()
		}
	}
	return err
}

// evidence sorts what is known to have a slot, and what has none: refFired if it is known to
// have fired, refInferred if it is due.
func (r *repair) evidence(ctx context.Context, known, due *refSorter) error {
	if err := r.eachRef(known.add); err != nil {
		return err
	}
	nowMs := r.e.now().UnixMilli()
	walk := refWalk{of: r.refs}
	return r.eachRecord(ctx, func(it *commitlog.Item, storeMs int64, _ []byte) error {
		at, err := walk.at(it)
		x := ref{loc: it.Loc, ms: it.When, queue: it.Queue, size: uint32(it.Size), tag: it.Tag}
		switch {
		case err != nil:
			return err
		case !it.Scheduled():
			x.slot, x.ms, x.kind = it.When, storeMs, refRecord
			return known.add(x)
		case at != nil:
			x.slot, x.kind = at.slot, refFired
			return known.add(x)
		}
		switch f := r.fate(it, nil); {
		case f == fateFired:
			x.kind = refFired
		case f == fatePending && it.When <= nowMs:
			x.kind = refInferred
		default:
			return nil
		}
		return due.add(x)
	})
}

// refWalk meets records, which come lane by lane in the order of their locations, with
// what refers to them.
type refWalk struct {
	of   *refTable
	c    *refCursor
	lane uint8
}

// at is what refers to a record; nil: nothing does.
func (w *refWalk) at(it *commitlog.Item) (at *ref, err error) {
	if lane := it.Loc.Lane(); w.c == nil || w.lane != lane {
		w.lane = lane
		if w.c, err = w.of.from(commitlog.MakeLoc(lane, 0)); err != nil {
			return nil, err
		}
	}
	err = w.c.before(it.Loc+1, func(x *ref) {
		if x.is(it) {
			at = x
		}
	})
	return at, err
}

// bySlots adds to found what has fired, and its slots.
func (r *repair) bySlots(ctx context.Context, known, due, found *refSorter) error {
	slots, stop := pullRefs(known)
	defer stop()
	waiting, stop2 := pullRefs(due)
	defer stop2()
	for i := range r.m.Queues {
		s := &slotEvidence{r: r, q: &r.m.Queues[i], waiting: waiting, found: found}
		if !r.markLost { // else what has fired and was trimmed is in doubt, and had the slots before
			s.next = s.q.Min
		}
		for slots.of(s.q.ID) {
			if err := errors.Join(s.take(slots), ctx.Err()); err != nil {
				return err
			}
		}
		if err := s.last(); err != nil {
			return err
		}
	}
	return errors.Join(slots.err, waiting.err)
}

// slotEvidence goes through the slots of one queue.
type slotEvidence struct {
	r       *repair
	q       *store.ManifestQueue
	waiting *refStream // what has no slot, in the order of firing
	found   *refSorter

	next   int64 // behind the last slot that is known
	lastMs int64 // when that became visible
	holes  holes // slots before it that nobody has, since the last firing that is known
	// The last ordinary message since then: its slot, and when it was stored.
	ordinary, ordinaryMs int64
}

// take takes the next slot, for which there may be several refs.
func (s *slotEvidence) take(slots *refStream) error {
	slot := slots.head.slot
	s.pass(slot)
	var fired ref
	ms := s.lastMs
	for ; slots.of(s.q.ID) && slots.head.slot == slot; slots.advance() {
		switch x := &slots.head; x.kind {
		case refFired:
			fired = *x
		case refRecord:
			s.ordinary, s.ordinaryMs = slot, x.ms
			ms = max(ms, x.ms)
		default:
			ms = max(ms, x.ms)
		}
	}
	s.next = max(s.next, slot+1)
	var err error
	if fired.kind == refFired {
		certain, doubtful := s.due(func(x *ref) bool { return byFiring(x, &fired) < 0 }, fired.ms)
		certain = certain[max(int64(len(certain)+len(doubtful))-s.holes.n, 0):]
		s.r.inferred += int64(len(doubtful))
		err = s.place(append(certain, doubtful...), &s.holes)
		s.holes, s.ordinaryMs = holes{}, 0
	}
	s.lastMs = ms
	return err
}

// pass takes up the slots up to slot that nobody has.
func (s *slotEvidence) pass(slot int64) {
	for s.next < slot {
		from, to := s.r.nextVoid(s.q.ID, s.next)
		s.holes.add(slotRange{s.next, min(from, slot)})
		s.next = min(to, slot)
	}
}

// due takes what comes before a firing: of what has fired the last, as many as there are
// holes; and what is in doubt and due up to untilMs, if there are holes for all of it.
func (s *slotEvidence) due(before func(*ref) bool, untilMs int64) (certain, doubtful []ref) {
	most := min(s.holes.n, maxRecent)
	for ; s.waiting.of(s.q.ID) && before(&s.waiting.head); s.waiting.advance() {
		switch x := s.waiting.head; {
		case x.kind == refFired:
			if certain = append(certain, x); int64(len(certain)) >= 2*most {
				certain = append(certain[:0], certain[int64(len(certain))-most:]...)
			}
		case x.ms <= untilMs && int64(len(doubtful)) <= most:
			doubtful = append(doubtful, x)
		}
	}
	if int64(len(doubtful)) > most {
		doubtful = nil
	}
	return certain[max(int64(len(certain))-most, 0):], doubtful
}

// last ends the queue. What the mark covers has slots that the MANIFEST knows of.
func (s *slotEvidence) last() error {
	s.pass(s.q.Next)
	certain, doubtful := s.due(func(*ref) bool { return true }, s.ordinaryMs)
	begin := int64(0)
	if len(certain) > 0 {
		begin = s.q.Next
		known := s.holes.within(0, begin)
		if err := s.place(certain[max(int64(len(certain))-known.n, 0):], &known); err != nil {
			return err
		}
	}
	front := s.holes.within(begin, s.ordinary)
	if s.ordinaryMs == 0 || int64(len(doubtful)) != front.n {
		return nil
	}
	s.r.inferred += front.n
	return s.place(doubtful, &front)
}

// place gives messages the last ones of some slots, of which there are enough.
func (s *slotEvidence) place(list []ref, in *holes) error {
	slices.SortFunc(list, func(a, b ref) int { return byFiring(&a, &b) })
	at := in.last(int64(len(list)))
	for i, x := range list {
		s.lastMs = max(s.lastMs, x.ms)
		x.slot, x.ms, x.kind = at[i], s.lastMs, refInferred
		if err := s.found.add(x); err != nil {
			return err
		}
	}
	return nil
}

// holes are slots that nobody has, ascending.
type holes struct {
	ranges []slotRange
	n      int64 // slots in them
}

// maxHoles bounds the ranges, and so memory; maxRecent the messages that are placed at once.
const (
	maxHoles  = 1 << 20
	maxRecent = 4 << 20
)

func (h *holes) add(r slotRange) {
	if r.from >= r.to {
		return
	}
	h.ranges, h.n = append(h.ranges, r), h.n+r.to-r.from
	if len(h.ranges) == 2*maxHoles { // the last ones are those that matter
		*h = h.within(h.ranges[maxHoles].from, r.to)
	}
}

// within are those of [from, to).
func (h *holes) within(from, to int64) (in holes) {
	for _, r := range h.ranges {
		if r = (slotRange{max(r.from, from), min(r.to, to)}); r.from < r.to {
			in.ranges, in.n = append(in.ranges, r), in.n+r.to-r.from
		}
	}
	return in
}

// last returns the last n slots, of which there are as many, ascending.
func (h *holes) last(n int64) []int64 {
	slots := make([]int64, 0, n)
	for i := len(h.ranges) - 1; i >= 0; i-- {
		for slot := h.ranges[i].to - 1; slot >= h.ranges[i].from && int64(len(slots)) < n; slot-- {
			slots = append(slots, slot)
		}
	}
	slices.Reverse(slots)
	return slots
}

// nextVoid is the first range of slots of a queue, from a slot on, that are known to be
// empty.
func (c *check) nextVoid(queue uint32, slot int64) (from, to int64) {
	ranges := c.voidSlots[queue]
	i, _ := slices.BinarySearchFunc(ranges, slot+1, func(r slotRange, slot int64) int { return cmp.Compare(r.to, slot) })
	if i == len(ranges) {
		return maxOffset, maxOffset
	}
	return max(ranges[i].from, slot), ranges[i].to
}
