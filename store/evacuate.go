package store

import (
	"errors"
	"fmt"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/delayindex"
)

// evacuation moves the messages of one segment of the far lane that fire at cutMs
// or later into a cold file, with their index entries.
//
//  1. The segment is read once from front to back: its checksums are verified, it
//     shows whether anything fires before cutMs, and it is in the page cache then.
//  2. Its runs are merged; what moves is read in fire order, written to the cold
//     file, its entry, with the new location, to a run of the cold lane, and its keys to
//     runs of the key index (coldkeys.go). All are durable and nobody refers to them.
//  3. The horizon gets a ceiling at cutMs: no entry that moves can reach the near
//     wheel, and through it the journal, with its old location (I3).
//  4. One MANIFEST edit registers the cold file and its runs and unregisters the
//     segment and its runs. If something stays behind (evacuation had fallen back,
//     or a part of the segment is damaged), the segment stays, cut: its entries from
//     cutMs on are hidden, now and when its run is rebuilt from the log.
//  5. The indexes of both lanes change in one step under near.mu; the ceiling goes.
//  6. The segment's file is recycled.
//
// A crash before the edit leaves files that Open deletes. A crash after it leaves a
// segment that is not registered, which Open deletes because its cold file is
// registered. There is no state between.
type evacuation struct {
	s        *Store
	throttle *throttle
	l        *lane
	seg      commitlog.SegmentInfo
	end      int64 // of the segment's range of offsets
	cutMs    int64
	runs     []delayindex.RunInfo // of the segment

	whole   bool // nothing stays behind
	orphans int64
	ended   []commitlog.Loc // cancelled messages, which do not move
	oldAt   []uint32        // offsets in the segment of what moves,
	newAt   []uint32        // and positions in the cold file
	keys    *movedKeys
	w       *cold.Writer
	info    cold.Info
	files   cold.Loaded
	run16   *delayindex.Replacement
}

// begin is not ok when a run reaches beyond the segment.
func (c *compactor) begin(l *lane, info commitlog.SegmentInfo) (*evacuation, bool) {
	ev := &evacuation{
		s: c.s, throttle: &c.throttle, l: l, seg: info,
		end: info.Base + l.segmentSize, cutMs: c.s.cutMs(c.s.clock.NowMs()),
	}
	ev.runs = ev.segmentRuns()
	for _, ri := range ev.runs {
		if ri.Start < info.Base || ri.End > ev.end {
			return nil, false
		}
	}
	return ev, true
}

// segmentRuns lists the runs that have a part in the segment.
func (ev *evacuation) segmentRuns() []delayindex.RunInfo {
	var out []delayindex.RunInfo
	for _, ri := range ev.l.index.Runs() {
		if ri.Start < ev.end && ri.End > ev.seg.Base {
			out = append(out, ri)
		}
	}
	return out
}

// run is not moved, without an error, if that must wait: see commit.
func (ev *evacuation) run() (moved bool, err error) {
	if err := ev.survey(); err != nil {
		return false, err
	}
	if err := ev.write(); err != nil {
		return false, err
	}
	if moved, err = ev.commit(); !moved {
		return false, errors.Join(err, ev.discard())
	}
	if err != nil {
		return true, err
	}
	ev.s.metrics.evacuated.Add(float64(ev.info.Records))
	ev.s.metrics.evacuatedBytes.Add(float64(ev.info.Size))
	ev.s.metrics.orphaned.Add(float64(ev.orphans))
	ev.s.log.Info("segment evacuated", "base", ev.seg.Base, "whole", ev.whole, "records", ev.info.Records,
		"bytes", ev.info.Size, "stored", ev.info.FileSize)
	return true, nil
}

// survey verifies the segment and finds out whether all of it fires late enough.
// What damage hides may fire any time; where bytes were given back something has
// fired, and what stood in the same frame cannot be seen.
func (ev *evacuation) survey() error {
	ev.s.catalog.view(func(st *catalogState) { ev.whole = len(st.given[ev.l.id][ev.seg.Base]) == 0 })
	err := ev.l.log.Scan(ev.seg.Base, ev.end, func(f commitlog.Frame) error {
		for it := range f.Items() {
			ev.whole = ev.whole && it.Scheduled() && it.When >= ev.cutMs
		}
		return ev.throttle.spend(int64(len(f.Payload)))
	})
	var bad *commitlog.CorruptionError
	if errors.As(err, &bad) {
		ev.whole = false
		ev.s.log.Error("segment to be evacuated is damaged; its messages move as they are", "error", err)
		return nil
	}
	return err
}

// write makes the cold file and the run.
func (ev *evacuation) write() (err error) {
	snap := ev.l.index.Snapshot()
	defer snap.Release()
	own := func(ri *delayindex.RunInfo) bool { return ri.Start >= ev.seg.Base && ri.End <= ev.end }
	it := snap.IterRuns(ev.cutMs, endOfTime, own)
	count := int64(0)
	for _, ri := range ev.runs {
		count += ri.Count
	}
	if ev.w, err = ev.s.cold.files.Create(ev.seg.Base, ev.s.clock.NowMs()); err != nil {
		it.Close()
		return err
	}
	ev.keys = ev.s.newMovedKeys(ev.seg.Base)
	ev.run16, err = ev.s.cold.index.Rewrite(&movingIterator{Iterator: it, ev: ev}, ev.seg.Base, ev.end, count)
	if err != nil {
		return errors.Join(err, ev.s.discardKeys(ev.keys), ev.w.Abort())
	}
	if ev.info, err = ev.w.Finish(); err == nil && ev.info.Records > 0 {
		ev.files, err = ev.s.cold.files.Load(ev.info)
	}
	if err != nil {
		return errors.Join(err, ev.s.discardKeys(ev.keys), ev.run16.Discard())
	}
	if err = ev.keys.finish(ev.end); err != nil {
		return errors.Join(err, ev.discard())
	}
	return nil
}

// movingIterator writes the message of each entry to the cold file and yields
// the entry with its new location. Cancelled messages and those of deleted topics
// end here.
type movingIterator struct {
	delayindex.Iterator
	ev  *evacuation
	rec commitlog.Record
}

// Next implements delayindex.Iterator.
func (m *movingIterator) Next(dst []delayindex.Entry) (int, error) {
	for {
		n, err := m.Iterator.Next(dst)
		if err != nil || n == 0 {
			return n, err
		}
		kept := dst[:0]
		for _, e := range dst[:n] {
			if m.ev.ends(&e) {
				continue
			}
			if err := m.move(&e); err != nil {
				return 0, err
			}
			kept = append(kept, e)
		}
		if len(kept) > 0 {
			return len(kept), nil
		}
	}
}

// ends reports whether nobody will see the message of e.
func (ev *evacuation) ends(e *delayindex.Entry) bool {
	if loc := commitlog.Loc(e.Loc); ev.s.cancels.has(loc) {
		ev.ended = append(ev.ended, loc)
		return true
	}
	if ev.s.registry.byID(e.Queue) == nil {
		ev.orphans++
		return true
	}
	return false
}

// move appends the message of e and makes e point to its new place. The entry, not
// the record's header, which may be damaged, says what the message is.
func (m *movingIterator) move(e *delayindex.Entry) error {
	ev := m.ev
	v, err := ev.l.log.View(commitlog.Loc(e.Loc), int32(e.Size))
	if err != nil {
		return fmt.Errorf("read message to be moved: %w", err)
	}
	m.rec = commitlog.Record{
		When: e.FireMs(), Flags: commitlog.FlagScheduled, Queue: e.Queue, Tag: e.Tag, Key: e.Key, Payload: v.Bytes(),
	}
	if e.Flags()&delayindex.FlagTombstone != 0 {
		m.rec.Flags |= commitlog.FlagTombstone
	}
	off, err := ev.w.Append(&m.rec)
	moved := commitlog.MakeLoc(coldLane, off)
	var keyBytes int64
	if err == nil {
		keyBytes, err = ev.keys.add(moved, v.Bytes())
	}
	v.Release()
	if err != nil {
		return err
	}
	ev.noteMoved(commitlog.Loc(e.Loc), off)
	e.Loc = uint64(moved)
	return ev.throttle.spend(commitlog.RecordHeaderSize + int64(e.Size) + keyBytes)
}

// discard lets go of what was written. What is registered for certain by nobody is
// unlinked, for it would take the space that the next attempt needs; only of a small run
// the file stays, until that writes over it. If the MANIFEST failed nobody knows what it
// has: all of it stays until Open.
func (ev *evacuation) discard() error {
	err := errors.Join(ev.run16.Discard(), ev.s.discardKeys(ev.keys))
	switch {
	case ev.info.Records == 0:
	case ev.s.Err() != nil:
		err = errors.Join(err, ev.files.Discard())
	default:
		err = errors.Join(err, ev.files.Remove())
	}
	return err
}
