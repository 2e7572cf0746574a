package tools

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/internal/durable"
)

const (
	// copyBuffer is how much of a segment is written at once, copySync how much may
	// wait for the disk.
	copyBuffer = 1 << 20
	copySync   = 64 << 20
	// A memtable of the new index is written as a run when it has this many entries
	// or stands for this much of the lane.
	copyEntries = 1 << 20
	copyRun     = 256 << 20
	maxFiller   = commitlog.FrameHeaderSize + commitlog.MaxFrameBytes/4
)

// laneCopy writes one lane of the copy.
type laneCopy struct {
	r     *repair
	ctx   context.Context
	lane  uint8
	index *delayindex.Index
	batch []delayindex.Entry
	added int   // entries since the last run
	ran   int64 // where the last run ended
	end   int64
	last  int64 // store time of the last frame

	refs *refCursor
	path string // of the original's segment
	out  *segmentWriter
	info commitlog.SegmentInfo
	base int64
}

func (r *repair) copyLane(ctx context.Context, lane uint8) (err error) {
	c := &laneCopy{r: r, ctx: ctx, lane: lane}
	files, err := listSegmentsUsed(r.dir, r.m, lane, holdsFrame)
	if err != nil {
		return err
	}
	if len(files) == 0 {
		return nil
	}
	dir := filepath.Join(r.out, filepath.Dir(runPath(lane, delayindex.RunInfo{})))
	if c.index, err = delayindex.Open(dir, nil, 0, &delayindex.Options{Lane: lane}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.index.Close()) }()
	if err := os.MkdirAll(filepath.Join(r.out, filepath.Dir(segmentPath(lane, 0))), 0o755); err != nil {
		return err
	}
	if c.refs, err = r.refs.from(commitlog.MakeLoc(lane, 0)); err != nil {
		return err
	}
	for _, f := range files {
		if err := c.segment(f); err != nil {
			return err
		}
	}
	if err := c.flushIndex(); err != nil {
		return err
	}
	if err := c.refs.before(commitlog.MakeLoc(lane+1, 0), func(x *ref) { c.lostRef(x, "its segment is missing") }); lane < 255 && err != nil {
		return err
	}
	r.madeMu.Lock()
	defer r.madeMu.Unlock()
	r.made.IndexedUpTo[lane] = c.end
	return durable.SyncDir(filepath.Join(r.out, filepath.Dir(segmentPath(lane, 0))))
}

// segment copies one segment, frame by frame.
func (c *laneCopy) segment(f segmentFile) (err error) {
	known, _ := segmentInfo(c.r.m, c.lane, f.base)
	c.path, c.base = f.path, f.base
	c.info = commitlog.SegmentInfo{Base: f.base, End: f.base, CreatedMs: known.CreatedMs, MaxFireMs: known.MaxFireMs, MaxStoreMs: known.MaxStoreMs}
	if c.out, err = newSegmentWriter(filepath.Join(c.r.out, segmentPath(c.lane, f.base))); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.out.close()) }()
	// What refers to places before this segment refers to one that is gone.
	if err := c.refs.before(commitlog.MakeLoc(c.lane, f.base), func(x *ref) { c.lostRef(x, "its segment is missing") }); err != nil {
		return err
	}
	at := f.base
	end, err := commitlog.ScanFile(f.path, commitlog.FileScan{
		Lane: c.lane, Base: f.base, Known: known.End, Whole: !f.last || known.Sealed, Limit: sealedEnd(known),
		Visit: func(fr commitlog.Frame) error {
			c.r.count(fr.End - at)
			at = fr.End
			return errors.Join(c.frame(&fr), c.ctx.Err())
		},
		Damaged: func(from, to int64, reason *commitlog.CorruptionError) {
			at = to
			c.out.failed = errors.Join(c.out.failed, c.damaged(from, to, reason.Err))
		},
	})
	if err = errors.Join(err, c.out.failed); err != nil {
		return fmt.Errorf("copy %s: %w", segmentPath(c.lane, f.base), err)
	}
	c.end = end.Pos
	if end.Sealed || known.Sealed || !f.last {
		if c.info.Sealed = true; end.Sealed {
			c.info.End = end.Pos
			c.out.write(commitlog.AppendSeal(nil, commitlog.MakeLoc(c.lane, end.Pos-commitlog.FrameHeaderSize), c.last))
		}
		c.end = f.base + f.size
	}
	c.index.Add(c.batch, c.end)
	c.batch = c.batch[:0]
	c.r.madeMu.Lock()
	c.r.made.Segments[c.lane] = append(c.r.made.Segments[c.lane], c.info)
	c.r.madeMu.Unlock()
	return c.out.finish(f.size)
}

// frame copies a frame and takes its records in.
func (c *laneCopy) frame(f *commitlog.Frame) error {
	c.out.write(f.Append(c.out.scratch[:0]))
	c.info.CountFrame(*f)
	c.last = f.StoreMs
	for it := range f.Items() {
		at, err := c.known(&it)
		if err == nil {
			err = c.record(&it, f.StoreMs, at)
		}
		if err != nil {
			return err
		}
	}
	c.index.Add(c.batch, f.End)
	c.batch = c.batch[:0]
	if c.added >= copyEntries || f.End-c.ran >= copyRun {
		return c.writeRun(f.End)
	}
	return c.out.failed
}

// known takes what refers to an intact record from the sorted refs; nil: nothing does.
func (c *laneCopy) known(it *commitlog.Item) (at *ref, err error) {
	if it.Queue >= c.r.m.NextQueue && !c.r.endLost {
		return nil, errEndLost
	}
	if err := c.refs.before(it.Loc, func(x *ref) { c.lostRef(x, "no record is where it should be") }); err != nil {
		return nil, err
	}
	err = c.refs.before(it.Loc+1, func(x *ref) {
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

// record decides what a record is: visible, fired without a slot, dead or pending. at
// is what refers to it.
func (c *laneCopy) record(it *commitlog.Item, storeMs int64, at *ref) error {
	c.r.kept.Add(1)
	e := itemEntry(it)
	switch {
	case !it.Scheduled():
		return c.r.addSlot(ref{loc: it.Loc, slot: it.When, ms: storeMs, queue: it.Queue, size: uint32(it.Size), tag: it.Tag, kind: refRecord})
	case at != nil:
		c.info.MaxFireMs = max(c.info.MaxFireMs, at.ms)
		return c.r.addSlot(ref{loc: it.Loc, slot: at.slot, ms: at.ms, queue: it.Queue, size: uint32(it.Size), tag: it.Tag, kind: at.kind})
	case c.r.cancelled[it.Loc]:
		return nil // it must never be seen; its bytes go with their segment
	case c.r.m.Covers(&e):
		return c.r.addUnplaced(ref{loc: it.Loc, ms: it.When, queue: it.Queue, size: uint32(it.Size), tag: it.Tag, kind: refJournal})
	case c.r.m.FiredMs == 0 && it.When+c.r.scheduledRetention.Milliseconds() < c.r.e.now().UnixMilli():
		return nil // nobody knows whether it fired; it is past its retention if it did
	}
	c.batch = append(c.batch, e)
	c.added++
	c.r.waiting.Add(1)
	c.r.notePending(it.When)
	return nil
}

func (r *repair) notePending(fireMs int64) {
	r.madeMu.Lock()
	defer r.madeMu.Unlock()
	if r.minFireMs == 0 || fireMs < r.minFireMs {
		r.minFireMs = fireMs
	}
}

func (r *repair) addSlot(x ref) error {
	r.slotsMu.Lock()
	defer r.slotsMu.Unlock()
	return r.slots.add(x)
}

func (r *repair) addUnplaced(x ref) error {
	r.slotsMu.Lock()
	defer r.slotsMu.Unlock()
	return r.unplaced.add(x)
}

// damaged replaces a range without valid frames: by a hole if it was given back, else
// by the records of it that are good all the same, and frames without records.
func (c *laneCopy) damaged(from, to int64, reason error) error {
	c.out.skip(from - c.base)
	var refs []ref
	if err := c.refs.before(commitlog.MakeLoc(c.lane, to), func(x *ref) { refs = append(refs, *x) }); err != nil {
		return err
	}
	entries, err := c.entriesIn(from, to)
	if err != nil {
		return err
	}
	if c.r.gaveBack(c.lane, from, to) {
		c.out.skip(to - c.base) // a hole stays one
		return nil
	}
	good := c.salvage(from, to, refs, entries)
	c.r.lostBytes.Add(to - from)
	if err := c.rewrite(from, to, good, refs); err != nil {
		return err
	}
	for i := range refs {
		if !isGood(good, refs[i].loc) {
			c.lostRef(&refs[i], reason.Error())
		}
	}
	for i := range entries {
		if x := &entries[i]; !isGood(good, commitlog.Loc(x.Loc)) {
			c.r.lostMessage("pending", x.Queue, nil, x.FireMs(), c.keyAt(x.Loc, x.Size), x.Key, x.Loc, reason.Error())
		}
	}
	return nil
}

// filler writes frames without records over [from, to).
func (c *laneCopy) filler(from, to int64) {
	for from < to {
		n := to - from
		if n > maxFiller {
			n = min(maxFiller, n-commitlog.FrameHeaderSize) // what is left has room for a header
		}
		c.out.write(commitlog.AppendFiller(c.out.scratch[:0], commitlog.MakeLoc(c.lane, from), c.last, int(n)))
		from += n
	}
	c.info.End = to
}

// entriesIn lists what the runs know to be pending in a range that cannot be read.
func (c *laneCopy) entriesIn(from, to int64) (found []delayindex.Entry, err error) {
	for _, ri := range c.r.m.Runs[c.lane] {
		if ri.End <= from || ri.Start >= to {
			continue
		}
		f, err := delayindex.OpenRunFile(filepath.Join(c.r.dir, runPath(c.lane, ri)))
		if err != nil {
			continue // damaged too; what it said is not known
		}
		var block []delayindex.Entry
		for i := range f.Blocks() {
			if block, err = f.Block(i, block[:0]); err != nil {
				continue
			}
			for j := range block {
				if off := commitlog.Loc(block[j].Loc).Offset(); off >= from && off < to && !c.r.done(&block[j]) {
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

// lostRef prints a visible message that is lost.
func (c *laneCopy) lostRef(x *ref, reason string) {
	if x.kind == refQueue && c.r.visible(x) {
		c.r.lostMessage("visible", x.queue, x.slot, x.ms, c.keyAt(uint64(x.loc), x.size), nil, uint64(x.loc), reason)
	}
}

// keyAt is the unique key of a message that is damaged, if it can still be read.
func (c *laneCopy) keyAt(loc uint64, size uint32) any {
	off := commitlog.Loc(loc).Offset() - c.base
	if c.path == "" || off < 0 || size > commitlog.MaxFrameBytes {
		return nil
	}
	f, err := os.Open(c.path)
	if err != nil {
		return nil
	}
	defer f.Close()
	b := make([]byte, size)
	if _, err := f.ReadAt(b, off); err != nil {
		return nil
	}
	return uniqKeyOf(b)
}

func (r *repair) lostMessage(kind string, queue uint32, slot any, atMs int64, key, keyHash any, loc uint64, reason string) {
	r.lostMu.Lock()
	defer r.lostMu.Unlock()
	r.lostRecords.Add(1)
	r.lost.row(styled{kind, red}, r.names.name(queue), slot, ms(atMs), key, keyHash, commitlog.Loc(loc).String(), reason)
}

// writeRun writes what is in the memtable as a run that ends at end.
func (c *laneCopy) writeRun(end int64) error {
	c.added, c.ran = 0, end
	if !c.index.Freeze() {
		return c.out.failed
	}
	ri, wrote, err := c.index.Flush(nil)
	if err != nil {
		return err
	}
	if err := c.index.Install(ri, wrote); err != nil || !wrote {
		return err
	}
	c.r.madeMu.Lock()
	defer c.r.madeMu.Unlock()
	if c.r.made.Runs == nil {
		c.r.made.Runs = map[uint8][]delayindex.RunInfo{}
	}
	c.r.made.Runs[c.lane] = append(c.r.made.Runs[c.lane], ri)
	return nil
}

func (c *laneCopy) flushIndex() error { return c.writeRun(c.end) }

// segmentWriter writes a file front to back in large pieces, and leaves holes.
type segmentWriter struct {
	f        *os.File
	buf      []byte
	at       int64 // where buf goes
	scratch  []byte
	unsynced int64
	failed   error
	done     bool
}

func newSegmentWriter(path string) (*segmentWriter, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("write copy: %w", err)
	}
	return &segmentWriter{f: f, buf: make([]byte, 0, copyBuffer)}, nil
}

// write appends b; errors are kept in failed.
func (w *segmentWriter) write(b []byte) {
	w.scratch = b // its memory serves the next frame
	if len(w.buf)+len(b) > copyBuffer {
		w.flush()
	}
	if len(b) > copyBuffer {
		w.put(b)
		return
	}
	w.buf = append(w.buf, b...)
}

// skip goes on at off, and leaves a hole before it.
func (w *segmentWriter) skip(off int64) {
	if off != w.at+int64(len(w.buf)) {
		w.flush()
		w.at = off
	}
}

func (w *segmentWriter) flush() {
	w.put(w.buf)
	w.buf = w.buf[:0]
}

func (w *segmentWriter) put(b []byte) {
	if w.failed != nil || len(b) == 0 {
		return
	}
	if _, err := w.f.WriteAt(b, w.at); err != nil {
		w.failed = err
		return
	}
	w.at += int64(len(b))
	if w.unsynced += int64(len(b)); w.unsynced >= copySync {
		w.unsynced = 0
		w.failed = durable.Datasync(w.f)
	}
}

// finish makes a file of size bytes durable.
func (w *segmentWriter) finish(size int64) error {
	w.flush()
	if w.failed == nil {
		w.failed = w.f.Truncate(max(size, w.at))
	}
	if w.failed == nil {
		w.failed = durable.Datasync(w.f)
	}
	return w.failed
}

func (w *segmentWriter) close() error {
	if w.done {
		return nil
	}
	w.done = true
	if err := w.f.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}
