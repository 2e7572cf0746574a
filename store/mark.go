package store

import (
	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// mark says which index entries are done (I2). Without a split those with a fire
// time up to firedMs whose offset lies below absorbed of their lane. During a
// split (see lag) the topics that are not heavy are further: their entries are
// done up to lightMs, those of the queues in since up to the position there.
//
// A mark stays true for ever: what is done does not become undone. One that was
// published is never changed.
type mark struct {
	firedMs  int64 // F, for the entries of all queues
	lightMs  int64 // F of the queues that are not in since; firedMs or later
	since    map[uint32]position
	absorbed [laneCount]int64
	// journal is the end of the fire journal at the mark; every batch before it
	// fired entries that the mark covers. Not part of the operation on disk.
	journal int64
}

// position is a place in the order in which entries are due.
type position struct{ when, loc uint64 }

func positionOf(e *delayindex.Entry) position { return position{e.When, e.Loc} }

// endOf is the position behind all entries of a millisecond.
func endOf(ms int64) position {
	return position{when: delayindex.MakeWhen(ms, 0), loc: lastArrival}
}

// lastArrival is the location that delayindex.Compare puts behind all others.
const lastArrival = 1<<56 - 1

// before reports whether e is due after p.
func (p position) before(e *delayindex.Entry) bool {
	at := delayindex.Entry{When: p.when, Loc: p.loc}
	return delayindex.Compare(&at, e) < 0
}

// less reports whether p comes before q.
func (p position) less(q position) bool { return p.before(&delayindex.Entry{When: q.when, Loc: q.loc}) }

// split reports whether some topics are behind the others.
func (m *mark) split() bool { return len(m.since) > 0 }

// reached returns the latest fire time of which the mark says anything.
func (m *mark) reached() int64 { return max(m.firedMs, m.lightMs) }

// passed reports whether firing has passed the place of e. Then it is done, or
// it was absorbed after the mark.
func (m *mark) passed(e *delayindex.Entry) bool {
	fire := e.FireMs()
	if fire <= m.firedMs {
		return true
	}
	if fire > m.lightMs {
		return false
	}
	p, heavy := m.since[e.Queue]
	return !heavy || !p.before(e)
}

// done reports whether e is covered by the mark. One in the cold lane was absorbed
// long before it moved there.
func (m *mark) done(e *delayindex.Entry) bool {
	loc := commitlog.Loc(e.Loc)
	return (loc.Lane() == coldLane || loc.Offset() < m.absorbed[loc.Lane()]) && m.passed(e)
}

// coverage remembers, for ends of the journal, up to when the batches before
// them fired. It says how much of the journal a mark covers.
type coverage struct{ ends []coveredEnd }

type coveredEnd struct {
	journal int64
	lightMs int64 // latest fire time in the batches before, but for those of heavy topics
	heavyMs int64 // latest fire time of heavy topics in the batches before
}

// add notes the end of the journal after a batch. Both times never decrease. The
// end before it is forgotten when it waits for nothing that this one does not
// wait for too, so that there are few whatever the length of a split.
func (c *coverage) add(end coveredEnd, firedMs, lightMs int64) {
	if n := len(c.ends); n > 0 {
		last := &c.ends[n-1]
		sameLight, sameHeavy := last.lightMs == end.lightMs, last.heavyMs == end.heavyMs
		if sameLight && (sameHeavy || last.heavyMs <= firedMs) || sameHeavy && last.lightMs <= lightMs {
			*last = end
			return
		}
	}
	c.ends = append(c.ends, end)
}

// upTo returns the end of what {firedMs, lightMs} covers, 0 when that is no more
// than at the last call.
func (c *coverage) upTo(firedMs, lightMs int64) (journal int64) {
	n := 0
	for n < len(c.ends) && c.ends[n].lightMs <= lightMs && c.ends[n].heavyMs <= firedMs {
		journal = c.ends[n].journal
		n++
	}
	c.ends = append(c.ends[:0], c.ends[n:]...)
	return journal
}
