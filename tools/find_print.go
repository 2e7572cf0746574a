package tools

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/store"
)

// print tells the lives, event by event.
func (f *finder) print() error {
	t := f.e.table("key", "loc", "queue", "event", "time", "file", "offset", "detail", "found_by")
	if f.tooMany {
		f.e.note("more than %d messages; some of them are told about", maxFound)
	}
	for _, l := range f.sorted() {
		put := func(event string, at any, file any, off any, detail string) {
			t.row(l.id, l.item.Loc.String(), f.names.name(l.item.Queue), event, at, file, off, detail, l.way)
		}
		put("accepted", ms(l.storedMs), l.file, l.offset, fmt.Sprintf("%d bytes", l.item.Size))
		if l.damaged {
			put("damaged", nil, l.file, l.offset, "the checksum of its frame is wrong: anything of it may be, and of what follows here")
		}
		if isCold(l.item.Loc.Lane()) {
			put("moved", ms(l.movedMs), l.file, l.offset, "to a cold file, in which it is stored now")
		}
		if l.item.Scheduled() {
			if err := f.waiting(l, put); err != nil {
				return err
			}
		}
		for _, x := range l.firings {
			put("fired", ms(x.FiredMs), x.file, x.offset, fmt.Sprintf("slot %d", x.Slot))
		}
		for _, s := range l.slots {
			put("visible", ms(s.ms), s.file, s.offset, fmt.Sprintf("slot %d", s.slot))
		}
		if !l.item.Scheduled() && len(l.slots) == 0 {
			put("slot", nil, l.file, l.offset, fmt.Sprintf("slot %d by its record; the queue has no file for it: not yet, or no more", l.item.When))
		}
	}
	for _, x := range f.gone {
		var queue any
		if !x.anew() {
			queue = f.names.name(x.Queue)
		}
		t.row(f.what.key, x.message.String(), queue, "cancelled", ms(x.ms), x.file, x.offset, x.tell(), byRecall)
	}
	return t.close()
}

// recall tells what the cancel log says of a message; done if that is the end of it.
func (f *finder) recall(l *life, put func(event string, at, file, off any, detail string)) (done bool) {
	x := f.recalled[l.item.Loc]
	switch {
	case x == nil:
		return false
	case x.revoked:
		put("revoked", ms(x.ms), x.file, x.offset, "its recall came too late"+x.since())
		return false
	case len(l.firings)+len(l.slots) > 0:
		put("cancelled", ms(x.ms), x.file, x.offset, "too late: it fired"+x.since())
		return false
	}
	put("cancelled", ms(x.ms), x.file, x.offset, "it does not fire"+x.since())
	return true
}

// waiting tells where a scheduled message waits, or that it does not any more.
func (f *finder) waiting(l *life, put func(event string, at, file, off any, detail string)) error {
	if f.m.Moved(l.item.When, l.item.Loc) {
		if f.recall(l, put) {
			return nil // before it would have been moved
		}
		put("moved", nil, filepath.Dir(segmentPath(store.ColdLane, 0)), nil, "to a cold file: what becomes of it stands there")
		return nil
	}
	file, off, err := f.indexed(l)
	if err != nil {
		return err
	}
	switch {
	case file != "":
		put("indexed", nil, file, off, "in a run of the delay index")
	case len(l.firings)+len(l.slots) == 0 && l.item.Loc.Offset() >= indexedUpTo(f.m, l.item.Loc.Lane()):
		put("indexed", nil, nil, nil, "in memory only: the lane is in runs up to "+strconv.FormatInt(f.m.IndexedUpTo[l.item.Loc.Lane()], 10))
	}
	if f.recall(l, put) {
		return nil
	}
	state, e := "pending", itemEntry(&l.item)
	if len(l.firings)+len(l.slots) == 0 && f.m.Covers(&e) {
		state = "expired"
		put(state, ms(l.item.When), nil, nil, "it has fired, and its slot was trimmed")
		return nil
	}
	if len(l.firings)+len(l.slots) == 0 {
		put(state, ms(l.item.When), nil, nil, "it fires then")
	} else {
		put("due", ms(l.item.When), nil, nil, "")
	}
	return nil
}

// indexed finds the entry of a message in its run; "" if there is none.
func (f *finder) indexed(l *life) (file string, off int64, err error) {
	lane := l.item.Loc.Lane()
	for _, ri := range f.m.Runs[lane] {
		if o := l.item.Loc.Offset(); o < ri.Start || o >= ri.End || l.item.When < ri.MinFireMs || l.item.When > ri.MaxFireMs {
			continue
		}
		rf, err := delayindex.OpenRunFile(filepath.Join(f.dir, runPath(lane, ri)))
		if err != nil {
			f.e.note("%v; next: duelogctl verify %s", err, f.dir)
			continue
		}
		off, found, err := entryIn(rf, l)
		if err = errors.Join(err, rf.Close()); err != nil || found {
			return runPath(lane, ri), off, err
		}
	}
	return "", 0, nil
}

func entryIn(rf *delayindex.RunFile, l *life) (off int64, found bool, err error) {
	var block []delayindex.Entry
	for i := rf.FirstBlock(l.item.When); i < rf.Blocks(); i++ {
		if block, err = rf.Block(i, block[:0]); err != nil {
			return 0, false, err
		}
		for j := range block {
			if commitlog.Loc(block[j].Loc) == l.item.Loc {
				return rf.RowOffset(i, j), true, nil
			}
		}
		if block[len(block)-1].FireMs() > l.item.When {
			return 0, false, nil
		}
	}
	return 0, false, nil
}
