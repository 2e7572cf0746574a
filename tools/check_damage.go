package tools

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/store"
)

// damagedRange is a piece of the log that cannot be read, and what was in it.
type damagedRange struct {
	file       string
	offset     int64
	from, to   int64
	reason     error
	sum        lostSum
	unreadable bool // there is no file
	given      bool // the store gave some of it back: only what is pending can be missed
}

// lostSum describes lost messages by what refers to them.
type lostSum struct {
	pending, visible   int64
	minFire, maxFire   int64
	queue              uint32
	minSlot, maxSlot   int64
	morethanOneOfQueue bool
}

func (s *lostSum) entry(e *delayindex.Entry) {
	if s.pending == 0 {
		s.minFire, s.maxFire = e.FireMs(), e.FireMs()
	}
	s.pending++
	s.minFire, s.maxFire = min(s.minFire, e.FireMs()), max(s.maxFire, e.FireMs())
}

// merge adds pending ones.
func (s *lostSum) merge(o *lostSum) {
	if s.pending == 0 {
		s.minFire, s.maxFire = o.minFire, o.maxFire
	}
	s.pending += o.pending
	s.minFire, s.maxFire = min(s.minFire, o.minFire), max(s.maxFire, o.maxFire)
}

func (s *lostSum) ref(r *ref) {
	if r.kind != refQueue {
		return
	}
	if s.visible == 0 {
		s.queue, s.minSlot, s.maxSlot = r.queue, r.slot, r.slot
	}
	s.visible++
	s.morethanOneOfQueue = s.morethanOneOfQueue || r.queue != s.queue
	s.minSlot, s.maxSlot = min(s.minSlot, r.slot), max(s.maxSlot, r.slot)
}

func (s *lostSum) String(names queueNames) string {
	text := ""
	if s.pending > 0 {
		text = fmt.Sprintf("%d pending messages due %s to %s", s.pending, humanText(ms(s.minFire)), humanText(ms(s.maxFire)))
	}
	if s.visible > 0 {
		if text != "" {
			text += "; "
		}
		where := "in several queues"
		if !s.morethanOneOfQueue {
			where = fmt.Sprintf("in slots %d to %d of %s", s.minSlot, s.maxSlot, names.name(s.queue))
		}
		text += fmt.Sprintf("%d visible messages %s", s.visible, where)
	}
	if text == "" {
		return "no message that is pending or visible by index and queues; those stored last are not in them yet"
	}
	return text
}

// damaged notes a piece of a file without valid frames.
func (k *tileCheck) damaged(f segmentFile, from, to int64, reason error) {
	seg := k.l.segs[f.base]
	seg.sums.damage()
	if seg.registered && !k.l.c.hasSegment(k.l.lane, f.base) {
		return // recycled while it was read
	}
	k.collect(damagedRange{
		file: relative(k.l.c.dir, f.path), offset: from - f.base, from: from, to: to, reason: reason,
		given: k.l.c.gaveBack(k.l.lane, from, to),
	})
}

// absent notes a piece of the lane of which there is no file. It is only of
// interest if something refers to it: segments go when all in them is dead.
func (k *tileCheck) absent(from, to int64) {
	if from < to {
		k.collect(damagedRange{file: segmentPath(k.l.lane, from), from: from, to: to, reason: fs.ErrNotExist, unreadable: true})
	}
}

// collect finds out what was in a piece that cannot be read.
func (k *tileCheck) collect(d damagedRange) {
	until := k.loc(d.to)
	k.entriesBefore(until, func(e *delayindex.Entry) {
		if !k.l.c.done(e) {
			d.sum.entry(e)
		}
	})
	k.failed = errors.Join(k.failed, k.refs.before(until, func(r *ref) {
		if k.l.c.visible(r) {
			d.sum.ref(r)
		}
	}))
	k.damage = append(k.damage, d)
	k.keys.unseen(d.from, d.to)
}

// reportDamage reports the pieces that could not be read.
func (k *tileCheck) reportDamage() {
	for _, d := range k.damage {
		nothing := d.sum.pending == 0 && d.sum.visible == 0
		if d.given && d.sum.pending == 0 || d.unreadable && (nothing || !k.missed(d.from)) {
			continue
		}
		check, unit := "frame", "frame"
		if isCold(k.l.lane) {
			check, unit = "cold", "block"
		}
		what := fmt.Sprintf("%d bytes hold no valid %s: %v", d.to-d.from, unit, d.reason)
		if d.unreadable {
			what = "index or queues refer to a segment that is not there"
		}
		k.find(finding{
			severity: severityLost, check: check, file: d.file, offset: d.offset, what: what, lost: d.sum.String(k.l.c.names),
			next: "put the file back from a copy, or: " + k.l.c.repairHint(),
		})
	}
}

// missed tells whether a place without a file should have one: it is in a segment
// that the store still has. All others went when everything in them was dead.
func (k *tileCheck) missed(off int64) bool {
	for _, info := range segmentsOf(k.l.c.m, k.l.lane) {
		if info.Base <= off && off < info.End {
			return k.l.c.hasSegment(k.l.lane, info.Base)
		}
	}
	return false
}

// gaveBack tells whether the store gave some of a part of a lane back.
func (c *check) gaveBack(lane uint8, from, to int64) bool {
	r := commitlog.Range{From: from, To: to}
	return commitlog.OverlapsRange(givenBackOf(c.m, lane), r) || commitlog.OverlapsRange(givenBackOf(c.latest(), lane), r)
}

// done tells whether an entry has fired by the mark of this moment, or has moved.
func (c *check) done(e *delayindex.Entry) bool {
	return c.m.Covers(e) || c.moved(e) || c.latest().Covers(e)
}

// over tells whether an entry has fired, or has moved, by the MANIFEST that the check
// began with.
func (c *check) over(e *delayindex.Entry) bool {
	if e.FireMs() > c.reached && len(c.m.Cuts) == 0 {
		return false // nearly all of them
	}
	return c.m.Covers(e) || c.m.Moved(e.FireMs(), commitlog.Loc(e.Loc))
}

// moved tells whether the message of an entry lives in a cold file now.
func (c *check) moved(e *delayindex.Entry) bool {
	loc := commitlog.Loc(e.Loc)
	if loc.Lane() != store.FarLane {
		return false // the MANIFEST of this moment need not be read
	}
	return c.m.Moved(e.FireMs(), loc) || c.latest().Moved(e.FireMs(), loc)
}

// visible tells whether consumers can still ask for what r stands for.
func (c *check) visible(r *ref) bool {
	low, ok := c.queueMin(r.queue)
	return ok && r.slot >= low
}
