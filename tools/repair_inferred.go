package tools

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/duelog/duelog/commitlog"
)

// What has fired although nothing says so
//
// Where a batch of the journal cannot be read and the queues were not written yet, or their
// files cannot be read either, the mark of the MANIFEST tells what has fired, up to the last
// checkpoint. For what fired after it, or if the MANIFEST is lost, there is the evidence of
// the slots. A queue gives each of its slots once, in the order of firing, and nothing in a
// queue overtakes what is due before it. So between two messages of a queue that are known to
// have fired, whatever was due between them has fired too, into the slots between theirs. If
// there are fewer such slots than messages this cannot be so for all of them (one was stored
// so late that its time had passed, or the clock was set back), and it is said of none.
// Behind the last message that is known to have fired there is no such limit but the time of
// an ordinary message, which has its slot in its record: what was due by then is said to have
// fired if there are exactly as many slots in front of it.
//
// What has fired by this gets these slots. Of the rest nobody knows, so it fires again, which
// is said: better twice than never.

// inDoubt tells whether messages may have fired of which neither mark, journal nor queues
// say so.
func (r *repair) inDoubt() bool { return r.markLost || r.journalLost }

// inferFired finds out by the slots of the queues what has fired, and adds it to what is
// known to refer to records.
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

// evidence sorts what is known to have a slot, and what is due without having one.
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
		case it.When <= nowMs && r.fate(it, nil) == fatePending:
			x.kind = refInferred
			return due.add(x)
		}
		return nil
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

// bySlots adds to found what has fired by the slots of its queue.
func (r *repair) bySlots(ctx context.Context, known, due, found *refSorter) error {
	slots, stop := pullRefs(known)
	defer stop()
	waiting, stop2 := pullRefs(due)
	defer stop2()
	r.before = map[uint32]int64{}
	for _, q := range r.m.Queues {
		s := &slotEvidence{r: r, queue: q.ID, waiting: waiting, found: found}
		for slots.of(q.ID) {
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
	queue   uint32
	waiting *refStream // what is due and has no slot, in the order of firing
	found   *refSorter

	next  int64 // behind the last slot that is known
	holes int64 // slots before it that nobody has, since the last firing that is known
	any   bool  // a firing is known

	// The last ordinary message since then: when it was stored, and the holes before it.
	ordinaryMs, beforeOrdinary int64
}

// take takes the next slot, for which there may be several refs.
func (s *slotEvidence) take(slots *refStream) error {
	slot := slots.head.slot
	s.pass(slot)
	var fired ref
	for ; slots.of(s.queue) && slots.head.slot == slot; slots.advance() {
		switch slots.head.kind {
		case refFired:
			fired = slots.head
		case refRecord:
			s.ordinaryMs, s.beforeOrdinary = slots.head.ms, s.holes
		}
	}
	s.next = max(s.next, slot+1)
	if fired.kind != refFired {
		return nil
	}
	fit, _ := s.due(func(x *ref) bool { return byFiring(x, &fired) < 0 })
	err := s.add(fit)
	s.any, s.holes, s.ordinaryMs = true, 0, 0
	return err
}

// pass counts the slots up to slot that nobody has.
func (s *slotEvidence) pass(slot int64) {
	if slot > s.next {
		s.holes += slot - s.next - s.r.voids(s.queue, s.next, slot)
		s.next = slot
	}
}

// due takes those of what is due that come before a firing: at most as many as there are
// holes for, and how many there were.
func (s *slotEvidence) due(before func(*ref) bool) (fit []ref, n int64) {
	for ; s.waiting.of(s.queue) && before(&s.waiting.head); s.waiting.advance() {
		if n++; n <= min(s.holes, maxRecent) {
			fit = append(fit, s.waiting.head)
		}
	}
	if n > int64(len(fit)) {
		fit = nil
	}
	return fit, n
}

// last ends the queue.
func (s *slotEvidence) last() error {
	if s.ordinaryMs == 0 {
		return nil // nothing tells how long the queue went on
	}
	s.holes = s.beforeOrdinary
	fit, n := s.due(func(x *ref) bool { return x.ms <= s.ordinaryMs })
	if n != s.holes {
		fit = nil
	}
	return s.add(fit)
}

func (s *slotEvidence) add(fit []ref) error {
	s.r.inferred += int64(len(fit))
	if !s.any {
		s.r.before[s.queue] = int64(len(fit))
	}
	for _, x := range fit {
		if err := s.found.add(x); err != nil {
			return err
		}
	}
	return nil
}

// voids counts the slots of a queue in [from, to) that are known to be empty.
func (c *check) voids(queue uint32, from, to int64) (n int64) {
	ranges := c.voidSlots[queue]
	i, _ := slices.BinarySearchFunc(ranges, from, func(r slotRange, slot int64) int { return cmp.Compare(r.to, slot) })
	for ; i < len(ranges) && ranges[i].from < to; i++ {
		n += max(min(ranges[i].to, to)-max(ranges[i].from, from), 0)
	}
	return n
}
