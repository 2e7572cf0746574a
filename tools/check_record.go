package tools

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/store"
)

// record meets one record with what refers to it. Most are referred to by nothing but
// an entry of the run, or a slot.
func (k *tileCheck) record(it *commitlog.Item) {
	k.seen++
	k.strayEntries(it.Loc)
	fired, slots := k.firings[:0], k.slots[:0]
	if !k.refs.ended && k.refs.head.loc <= it.Loc {
		k.failed = errors.Join(k.failed, k.refs.before(it.Loc, k.strayRef), k.refs.before(it.Loc+1, func(r *ref) {
			if r.kind == refJournal {
				fired = append(fired, *r)
			} else {
				slots = append(slots, *r)
			}
			k.match(it, r)
		}))
		k.firings, k.slots = fired, slots
		for i := range fired {
			k.agree(&fired[i], slots)
		}
	}
	if it.Queue >= k.l.c.m.NextQueue && it.Queue >= k.l.c.latest().NextQueue {
		k.l.c.unknownQueue(it)
	}
	if it.Scheduled() {
		k.scheduled(it, len(fired)+len(slots) > 0)
	} else {
		k.ordinary(it, len(slots) > 0)
	}
}

// unknownQueue notes a record whose queue was registered after the last edit that the
// MANIFEST has: it has lost its end after that was durable. Of all of them, which are met
// in no order, the one with the lowest location is reported.
func (c *check) unknownQueue(it *commitlog.Item) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.noQueue == nil || it.Loc < c.noQueue.Loc {
		first := *it
		c.noQueue = &first
	}
}

// unknownQueues reports what unknownQueue has noted.
func (c *check) unknownQueues() {
	if it := c.noQueue; it != nil {
		c.find(finding{
			severity: severityLost, check: "manifest", file: store.ManifestName, offset: c.m.Size,
			what: fmt.Sprintf("the record at %v is of queue #%d, which the MANIFEST does not know yet: its end is lost", it.Loc, it.Queue),
			lost: "to which queues messages belong", next: "do not start the broker on it; " + c.repairHint(),
		})
	}
}

// agree checks that the slot of a firing, if the files of its queue have it, holds
// the same record.
func (k *tileCheck) agree(x *ref, slots []ref) {
	q, ok := k.l.c.names[x.queue]
	if !ok || x.slot >= q.Next || k.l.c.badSlot(x.queue, x.slot) || !k.l.c.visible(x) {
		return
	}
	if !slices.ContainsFunc(slots, func(s ref) bool { return s.queue == x.queue && s.slot == x.slot }) {
		k.find(k.refFinding(x, severityLost, "fired by the journal, but the slot of the queue holds something else"))
	}
}

// match compares a record with a firing or a slot that refers to it.
func (k *tileCheck) match(it *commitlog.Item, r *ref) {
	what := ""
	switch {
	case r.size != uint32(it.Size) || r.queue != it.Queue || r.tag != it.Tag:
		what = fmt.Sprintf("says %d bytes of %s, the record has %d bytes of %s", r.size, k.l.c.names.name(r.queue), it.Size, k.l.c.names.name(it.Queue))
	case it.Scheduled() && r.ms < it.When:
		what = fmt.Sprintf("became visible at %s, before its time %s", humanText(ms(r.ms)), humanText(ms(it.When)))
	case !it.Scheduled() && r.slot != it.When:
		what = fmt.Sprintf("is slot %d, the record says %d", r.slot, it.When)
	default:
		return
	}
	if k.l.c.visible(r) {
		k.find(k.refFinding(r, severityLost, what))
	}
}

// strayRef is a ref that no record answers to.
func (k *tileCheck) strayRef(r *ref) {
	if k.l.c.visible(r) {
		k.find(k.refFinding(r, severityLost, "refers to a place where no record is"))
	}
}

func (k *tileCheck) refFinding(r *ref, sev severity, what string) finding {
	file := store.JournalDir
	if r.kind == refQueue {
		file = filepath.Join(store.ConsumeQueueDir, k.l.c.names.name(r.queue))
	}
	return finding{
		severity: sev, check: "reference", file: file, what: fmt.Sprintf("slot %d at %v %s", r.slot, r.loc, what),
		lost: "the message of that slot", next: k.l.c.repairHint(),
	}
}

// ordinary checks that a queue has the slot of a record that was due at once.
func (k *tileCheck) ordinary(it *commitlog.Item, inQueue bool) {
	if inQueue || k.l.lane != 0 || it.Loc.Offset() >= k.l.c.m.ReplayLane0 {
		return
	}
	q, ok := k.l.c.names[it.Queue]
	if !ok || it.When < q.Min || it.When >= q.Next || k.l.c.badSlot(it.Queue, it.When) {
		return // deleted, trimmed, or not in files yet
	}
	if low, ok := k.l.c.queueMin(it.Queue); !ok || it.When < low {
		return // trimmed since
	}
	k.find(finding{
		severity: severityLost, check: "queue", file: filepath.Join(store.ConsumeQueueDir, k.l.c.names.name(it.Queue)),
		what: fmt.Sprintf("slot %d does not hold the record at %v that says so", it.When, it.Loc), lost: "the message is not delivered",
		next: k.l.c.repairHint(),
	})
}

// scheduled checks that a record that waits is in the index, and as it is.
func (k *tileCheck) scheduled(it *commitlog.Item, fired bool) {
	e := itemEntry(it)
	over := k.l.c.over(&e)
	done := fired || over
	recalled := len(k.l.c.cancelled) > 0 && k.l.c.cancelled[it.Loc]
	if !done && !recalled {
		k.pending++
	}
	if !k.exact && !over {
		k.log.add(&e)
		return
	}
	if got := k.run.head(); got != nil && got.Loc == e.Loc {
		k.run.pop()
		if got.FireMs() != e.FireMs() || got.Size != e.Size || got.Queue != e.Queue || got.Tag != e.Tag || got.Key != e.Key {
			k.wrongEntry(it, got)
		}
		return
	}
	if done || recalled || !k.t.indexed || k.t.run != nil && !k.known || k.l.c.done(&e) {
		return
	}
	k.unindexed.add(it)
}

func (k *tileCheck) wrongEntry(it *commitlog.Item, got *delayindex.Entry) {
	k.find(finding{
		severity: severityDamaged, check: "index", file: runPath(k.l.lane, *k.t.run),
		what: fmt.Sprintf("the entry of %v is not what the record says: due %s, not %s", it.Loc, humanText(ms(got.FireMs())), humanText(ms(it.When))),
		lost: "the message fires at a wrong time or not at all", next: k.l.c.repairHint(),
	})
}

// unindexed are messages of a tile that are pending, but in no run.
type unindexed struct {
	first commitlog.Loc
	sum   lostSum
}

func (u *unindexed) add(it *commitlog.Item) {
	if u.sum.pending == 0 {
		u.first = it.Loc
	}
	e := itemEntry(it)
	u.sum.entry(&e)
}

// merge adds those of another tile.
func (u *unindexed) merge(o *unindexed) {
	if o.sum.pending == 0 {
		return
	}
	if u.sum.pending == 0 || o.first < u.first {
		u.first = o.first
	}
	u.sum.merge(&o.sum)
}

// reportUnindexed reports them, in one finding however many there are.
func (p *part) reportUnindexed() {
	u := &p.unindexed
	if u.sum.pending == 0 {
		return
	}
	c, lane := p.l.c, p.l.lane
	base := p.l.segmentOf(u.first.Offset())
	f := finding{
		severity: severityLost, check: "index", file: segmentPath(lane, base), offset: u.first.Offset() - base,
		what: fmt.Sprintf("%d messages, the first at %v, are pending, but in no run", u.sum.pending, u.first),
		lost: u.sum.String(c.names) + ", which do not fire", next: c.repairHint(),
	}
	if isCold(lane) && p.run == nil {
		f.severity, f.lost = severityDamaged, "nothing: the cold file has what its run would say"
		f.next = "restart the broker, which makes a run of it, or: " + c.repairHint()
	}
	c.find(f)
}

func (l *laneCheck) segmentOf(off int64) int64 {
	base := int64(0)
	for _, f := range l.files {
		if f.base <= off {
			base = f.base
		}
	}
	return base
}

// strayEntries are entries of the run below loc that no record answers to.
func (k *tileCheck) strayEntries(loc commitlog.Loc) {
	if e := k.run.head(); e == nil || e.Loc >= uint64(loc) {
		return
	}
	k.entriesBefore(loc, func(e *delayindex.Entry) {
		if k.l.c.done(e) {
			return
		}
		k.find(finding{
			severity: severityDamaged, check: "index", file: runPath(k.l.lane, *k.t.run),
			what: fmt.Sprintf("the entry of %v, due %s, refers to a place where no record is", commitlog.Loc(e.Loc), humanText(ms(e.FireMs()))),
			lost: "the message, if there ever was one", next: k.l.c.repairHint(),
		})
	})
}

// rest deals with what refers to the tile behind its last record.
func (k *tileCheck) rest() {
	end := k.loc(k.t.to)
	k.strayEntries(end)
	k.failed = errors.Join(k.failed, k.refs.before(end, func(r *ref) {
		if off := r.loc.Offset(); off >= k.l.knownEnd() || k.missed(off) || k.l.hasFile(off) && !k.l.c.gaveBack(k.l.lane, off, off+1) {
			k.strayRef(r)
		}
	}))
}
