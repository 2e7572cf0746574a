package tools

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"path/filepath"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/store"
)

// How the lane of cold files is copied.
//
// A cold file is written anew, record by record, each where it was: parts of the
// stream that are dead or lost become void blocks. The file's run is made of the
// records that are pending as they go by, as the store makes it at a start, so
// neither is in memory. A record that was cancelled is left out, lest a start that
// makes a run of the file again believes that it is pending.
//
// A file of which everything has fired needs no run, and a start makes none if the mark
// covers it. It does not if something older is still pending, as in a backlog: then what
// fired of such a file since fires again, better twice than never.
//
// Damage to a block need not be damage to its messages: what can be expanded of it is
// looked through for records that are good by themselves (repair_salvage.go).

// coldCopy writes the lane of cold files.
type coldCopy struct {
	laneRefs
	ctx   context.Context
	set   *cold.Set
	index *delayindex.Index

	// Of the file that is being copied.
	f       *cold.File
	w       *cold.Writer
	info    cold.Info
	lastMs  int64  // fire time of the last record of the copy
	remains []byte // of the damaged block that begins at from
	from    int64
}

func (r *repair) copyCold(ctx context.Context) (err error) {
	c := &coldCopy{laneRefs: laneRefs{r: r, lane: store.ColdLane}, ctx: ctx}
	c.keyAt = c.remainingKey
	if err := c.open(); err != nil {
		return err
	}
	if len(r.m.Cold) > 0 {
		if err := c.files(); err != nil {
			return err
		}
	}
	c.r.add(&c.tally)
	return c.rest()
}

func (c *coldCopy) files() (err error) {
	c.set, err = cold.Open(filepath.Join(c.r.out, filepath.Dir(segmentPath(c.lane, 0))), nil,
		cold.Options{Lane: c.lane, SegmentSize: cold.MaxSegmentSize})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.set.Close()) }()
	c.index, err = delayindex.Open(filepath.Join(c.r.out, filepath.Dir(runPath(c.lane, delayindex.RunInfo{}))), nil, 0, &delayindex.Options{Lane: c.lane})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.index.Close()) }()
	for i := range c.r.m.Cold {
		c.info = c.r.m.Cold[i]
		if err := c.file(); err != nil {
			return fmt.Errorf("copy %s: %w", segmentPath(c.lane, c.info.Base), err)
		}
	}
	return nil
}

// file copies one file.
func (c *coldCopy) file() (err error) {
	base := c.info.Base
	if err := c.lostBefore(commitlog.MakeLoc(c.lane, base), "its file is missing"); err != nil {
		return err
	}
	c.f, err = openCold(c.r.dir, &c.info)
	if errors.Is(err, fs.ErrNotExist) {
		return c.missing(base+c.info.DeadTo, base+c.info.Size)
	}
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.f.Close()) }()
	if c.w, err = c.set.Create(base, c.r.e.now().UnixMilli()); err != nil {
		return err
	}
	// What refers to the dead part was visible, and is past its retention.
	if err := c.refs.before(commitlog.MakeLoc(c.lane, base+c.info.DeadTo), func(*ref) {}); err != nil {
		return errors.Join(err, c.w.Abort())
	}
	c.lastMs, c.remains = 0, nil
	run, err := c.index.Rewrite(c.pending(), base, base+c.info.Size, c.info.Records)
	if err != nil {
		return errors.Join(err, c.w.Abort())
	}
	made, err := c.w.Finish()
	made.DeadTo, made.KeepMs = min(c.info.DeadTo, made.Size), c.info.KeepMs
	c.r.madeMu.Lock()
	defer c.r.madeMu.Unlock()
	if made.Records > 0 {
		c.r.made.Cold = append(c.r.made.Cold, made)
	}
	if run.Info.Count > 0 {
		c.r.addRun(c.lane, run.Info)
	}
	return errors.Join(err, run.Discard()) // it is on disk, and nobody reads it here
}

// pendingRecords yields, as entries of an index, the records that are pending.
type pendingRecords struct {
	next func() (delayindex.Entry, error, bool)
	stop func()
}

func (c *coldCopy) pending() *pendingRecords {
	next, stop := iter.Pull2(c.copyRecords())
	return &pendingRecords{next, stop}
}

// Next implements delayindex.Iterator.
func (p *pendingRecords) Next(dst []delayindex.Entry) (int, error) {
	for n := range dst {
		e, err, ok := p.next()
		if err != nil || !ok {
			return n, err
		}
		dst[n] = e
	}
	return len(dst), nil
}

// Close implements delayindex.Iterator.
func (p *pendingRecords) Close() { p.stop() }

// copyRecords copies the records of the file and yields those that are pending.
func (c *coldCopy) copyRecords() iter.Seq2[delayindex.Entry, error] {
	return func(yield func(delayindex.Entry, error) bool) {
		for it, err := range c.f.Records() {
			var lost *cold.BlockError
			switch {
			case errors.As(err, &lost):
				if err = c.damaged(lost, yield); err == errEnough {
					return
				}
			case err == nil:
				var f fate
				if f, err = c.intact(&it); err == nil && f == fatePending && !yield(itemEntry(&it), nil) {
					return
				}
			}
			if err == nil {
				err = c.ctx.Err()
			}
			if err != nil {
				yield(delayindex.Entry{}, err)
				return
			}
		}
	}
}

// intact copies a record of an intact block.
func (c *coldCopy) intact(it *commitlog.Item) (fate, error) {
	at, err := c.known(it)
	if err != nil {
		return fateDead, err
	}
	payload, err := c.f.View(it.Loc.Offset(), it.Size)
	if err != nil {
		return fateDead, err
	}
	c.r.count(commitlog.RecordHeaderSize + int64(it.Size))
	if !c.fits(it) {
		c.misplaced(it, at)
		return fateDead, nil
	}
	return c.put(it, payload, at)
}

// misplaced prints a record that the copy cannot have, since a cold file is in the order
// of fire times: no bytes are wrong, so it was written so.
func (c *coldCopy) misplaced(it *commitlog.Item, at *ref) {
	const reason = "it is not in the order in which messages fire"
	switch {
	case at != nil:
		c.lost([]ref{*at}, nil, nil, reason)
	case c.r.fate(it, nil) == fatePending:
		c.lost(nil, []delayindex.Entry{itemEntry(it)}, nil, reason)
	}
}

// fits tells whether the copy can have a record where it was.
func (c *coldCopy) fits(it *commitlog.Item) bool {
	room := it.Loc.Offset() - commitlog.RecordHeaderSize - c.info.Base - c.w.Size()
	return it.Scheduled() && it.When >= c.lastMs && (room == 0 || room >= commitlog.RecordHeaderSize)
}

// put takes a record in and writes it, unless it is dead.
func (c *coldCopy) put(it *commitlog.Item, payload []byte, at *ref) (fate, error) {
	f, err := c.takeIn(it, 0, at)
	if err != nil || f == fateDead || f == fateRecalled {
		return f, err
	}
	if room := it.Loc.Offset() - commitlog.RecordHeaderSize - c.info.Base - c.w.Size(); room > 0 {
		if err := c.w.Skip(room); err != nil {
			return f, err
		}
	}
	if at != nil && at.ms > it.When+lateMs {
		c.info.KeepMs = max(c.info.KeepMs, at.ms)
	}
	c.lastMs = it.When
	_, err = c.w.Append(&commitlog.Record{When: it.When, Flags: it.Flags, Queue: it.Queue, Tag: it.Tag, Key: it.Key, Payload: payload})
	return f, err
}

// lateMs is how late a message may fire without its file being kept for it.
const lateMs = 60_000

// damaged copies what is good of a part that cannot be read.
func (c *coldCopy) damaged(lost *cold.BlockError, yield func(delayindex.Entry, error) bool) error {
	refs, entries, err := c.within(lost.From, lost.To)
	if err != nil {
		return err
	}
	c.r.count(lost.To - lost.From)
	c.r.lostBytes.Add(lost.To - lost.From)
	c.from, c.remains = lost.From, c.f.Remains(lost.From)
	var good []goodRecord
	for _, g := range c.goodRecords(c.remains, lost.From, lost.From, refs, entries) {
		if g.end() > lost.To || !c.fits(&g.item) {
			continue
		}
		f, err := c.put(&g.item, g.payload, refOf(refs, &g.item))
		if err != nil {
			return err
		}
		good = append(good, g)
		c.r.salvaged.Add(1)
		c.r.lostBytes.Add(-int64(g.item.Size) - commitlog.RecordHeaderSize)
		if f == fatePending && !yield(itemEntry(&g.item), nil) {
			return errEnough
		}
	}
	c.lost(refs, entries, good, lost.Err.Error())
	c.remains = nil
	return nil
}

// remainingKey reads the key of a message out of what is left of its block.
func (c *coldCopy) remainingKey(loc commitlog.Loc, size uint32) any {
	at := loc.Offset() - c.from
	if c.remains == nil || at < 0 || at+int64(size) > int64(len(c.remains)) {
		return nil
	}
	return uniqKeyOf(c.remains[at:][:size])
}
