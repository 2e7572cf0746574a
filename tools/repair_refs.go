package tools

import (
	"path/filepath"
	"slices"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// laneRefs is what journal, queues and runs say about the records of one lane. It is
// walked along with the records, in the order of their locations: what refers to a
// place that is passed without a record there refers to one that is lost.
type laneRefs struct {
	r    *repair
	lane uint8
	refs *refCursor
	tally
	// keyAt is the unique key of a message that is damaged, nil if it cannot be read.
	keyAt func(loc commitlog.Loc, size uint32) any
}

// open begins at the start of the lane.
func (l *laneRefs) open() (err error) {
	l.refs, err = l.r.refs.from(commitlog.MakeLoc(l.lane, 0))
	return err
}

// known takes what refers to an intact record; nil: nothing does.
func (l *laneRefs) known(it *commitlog.Item) (at *ref, err error) {
	if it.Queue >= l.r.m.NextQueue && !l.r.endLost {
		return nil, errEndLost
	}
	if l.refs.ended || l.refs.head.loc > it.Loc {
		return nil, nil // as for most of what is pending
	}
	if err := l.lostBefore(it.Loc, "no record is where it should be"); err != nil {
		return nil, err
	}
	err = l.refs.before(it.Loc+1, func(x *ref) {
		if x.is(it) {
			at = x // the journal comes last, and is right if they differ
		}
	})
	return at, err
}

// is tells whether a ref means this record.
func (x *ref) is(it *commitlog.Item) bool {
	return x.loc == it.Loc && x.queue == it.Queue && x.size == uint32(it.Size)
}

// within takes what refers to the places before to, and lists what the runs know to
// be pending in [from, to): together what there was in a range that cannot be read.
func (l *laneRefs) within(from, to int64) (refs []ref, entries []delayindex.Entry, err error) {
	fired := map[uint64]bool{}
	err = l.refs.before(commitlog.MakeLoc(l.lane, to), func(x *ref) {
		refs = append(refs, *x)
		fired[uint64(x.loc)] = true
	})
	if err != nil {
		return nil, nil, err
	}
	entries, err = l.entriesIn(from, to)
	return refs, slices.DeleteFunc(entries, func(e delayindex.Entry) bool { return fired[e.Loc] || l.r.cancelled[commitlog.Loc(e.Loc)] }), err
}

// entriesIn lists what the runs know to be pending in a range.
func (l *laneRefs) entriesIn(from, to int64) (found []delayindex.Entry, err error) {
	for _, ri := range l.r.m.Runs[l.lane] {
		if ri.End <= from || ri.Start >= to {
			continue
		}
		f, err := delayindex.OpenRunFile(filepath.Join(l.r.dir, runPath(l.lane, ri)))
		if err != nil {
			continue // damaged too; what it said is not known
		}
		var block []delayindex.Entry
		for i := range f.Blocks() {
			if block, err = f.Block(i, block[:0]); err != nil {
				continue
			}
			for j := range block {
				if off := commitlog.Loc(block[j].Loc).Offset(); off >= from && off < to && !l.r.done(&block[j]) {
					found = append(found, block[j])
				}
			}
		}
		if err := f.Close(); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// lostBefore prints what refers to places before loc, where no record is.
func (l *laneRefs) lostBefore(loc commitlog.Loc, reason string) error {
	return l.refs.before(loc, func(x *ref) { l.lostRef(x, reason) })
}

// missing prints what was in a range of which there is no file.
func (l *laneRefs) missing(from, to int64) error {
	refs, entries, err := l.within(from, to)
	l.lost(refs, entries, nil, "its file is missing")
	return err
}

// rest prints what refers to places behind all files.
func (l *laneRefs) rest() error {
	return l.lostBefore(commitlog.MakeLoc(l.lane, maxOffset), "its file is missing")
}

// lost prints the messages that refs and entries stand for, but those that are good.
func (l *laneRefs) lost(refs []ref, entries []delayindex.Entry, good []goodRecord, reason string) {
	for i := range refs {
		if !isGood(good, refs[i].loc) {
			l.lostRef(&refs[i], reason)
		}
	}
	for i := range entries {
		if x := &entries[i]; !isGood(good, commitlog.Loc(x.Loc)) {
			l.r.lostMessage("pending", x.Queue, nil, x.FireMs(), l.keyAt(commitlog.Loc(x.Loc), x.Size), x.Key, commitlog.Loc(x.Loc), reason)
		}
	}
}

// lostRef prints a visible message that is lost.
func (l *laneRefs) lostRef(x *ref, reason string) {
	if x.kind == refQueue && l.r.visible(x) {
		l.r.lostMessage("visible", x.queue, x.slot, x.ms, l.keyAt(x.loc, x.size), nil, x.loc, reason)
	}
}

func (r *repair) lostMessage(kind string, queue uint32, slot any, atMs int64, key, keyHash any, loc commitlog.Loc, reason string) {
	r.lostMu.Lock()
	defer r.lostMu.Unlock()
	r.lostRecords.Add(1)
	r.lost.row(styled{kind, red}, r.names.name(queue), slot, ms(atMs), key, keyHash, loc.String(), reason)
}
