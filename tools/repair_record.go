package tools

import (
	"github.com/duelog/duelog/commitlog"
)

// fate is what becomes of an intact record in the copy.
type fate int

const (
	fateDead     fate = iota // nobody will see it
	fateVisible              // it has a slot
	fateFired                // it fired, and its slot was trimmed
	fateRecalled             // it was cancelled: it must never be seen
	fatePending
)

// fate decides what a record is; at is what refers to it.
func (r *repair) fate(it *commitlog.Item, at *ref) fate {
	e := itemEntry(it)
	switch {
	case !it.Scheduled(), at != nil:
		return fateVisible
	case r.m.Moved(it.When, it.Loc):
		return fateDead // it lives in a cold file
	case r.cancelled[it.Loc]:
		return fateRecalled
	case r.m.Covers(&e):
		return fateFired
	}
	return fatePending
}

// tally is what one goroutine has copied since it was added to the whole.
type tally struct {
	kept, waiting int64
	minFireMs     int64 // earliest of what is pending; 0 = none
	again         int64 // pending ones that may have fired already
	recalled      []commitlog.Item
}

// add adds what a goroutine has copied.
func (r *repair) add(t *tally) {
	r.kept.Add(t.kept)
	r.waiting.Add(t.waiting)
	r.again.Add(t.again)
	r.madeMu.Lock()
	defer r.madeMu.Unlock()
	r.recalled = append(r.recalled, t.recalled...)
	if t.minFireMs > 0 && (r.minFireMs == 0 || t.minFireMs < r.minFireMs) {
		r.minFireMs = t.minFireMs
	}
	*t = tally{}
}

// takeIn gives a record what its fate says, but for the entry of one that is pending.
func (l *laneRefs) takeIn(it *commitlog.Item, storeMs int64, at *ref) (fate, error) {
	r := l.r
	l.tally.kept++
	x := ref{loc: it.Loc, queue: it.Queue, size: uint32(it.Size), tag: it.Tag}
	f := r.fate(it, at)
	switch {
	case f == fateVisible && at != nil && it.Scheduled():
		x.slot, x.ms, x.kind = at.slot, at.ms, at.kind
		return f, r.addSlot(x)
	case f == fateVisible:
		x.slot, x.ms, x.kind = it.When, storeMs, refRecord
		return f, r.addSlot(x)
	case f == fateRecalled:
		if !isCold(l.lane) {
			l.tally.recalled = append(l.tally.recalled, *it)
		}
	case f == fatePending:
		l.tally.waiting++
		if (r.inDoubt() || r.journalTorn) && it.When <= r.e.now().UnixMilli() {
			l.tally.again++
		}
		if t := &l.tally; t.minFireMs == 0 || it.When < t.minFireMs {
			t.minFireMs = it.When
		}
	}
	return f, nil
}

func (r *repair) addSlot(x ref) error {
	r.slotsMu.Lock()
	defer r.slotsMu.Unlock()
	return r.slots.add(x)
}
