package tools

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/internal/durable"
	"github.com/duelog/duelog/store"
)

const (
	// A memtable of the new index is written as a run when it has this many entries
	// or stands for this much of the lane.
	copyEntries = 1 << 20
	copyRun     = 256 << 20
	maxFiller   = commitlog.FrameHeaderSize + commitlog.MaxFrameBytes/4
)

// laneCopy writes one lane of the copy.
type laneCopy struct {
	laneRefs
	ctx   context.Context
	index *delayindex.Index
	batch []delayindex.Entry
	added int   // entries since the last run
	ran   int64 // where the last run ended
	end   int64
	last  int64 // store time of the last frame

	// While one segment is read the last one becomes durable, and the run before is
	// written.
	ending, running background

	path string // of the original's segment
	out  *segmentWriter
	info commitlog.SegmentInfo
	base int64
}

func (r *repair) copyLane(ctx context.Context, lane uint8) (err error) {
	c := &laneCopy{laneRefs: laneRefs{r: r, lane: lane}, ctx: ctx}
	c.keyAt = c.rawKey
	files, err := listSegmentsUsed(r.dir, r.m, lane, holdsFrame)
	if err != nil {
		return err
	}
	if err := c.open(); err != nil {
		return err
	}
	if len(files) > 0 {
		if err := c.segments(files); err != nil {
			return err
		}
	}
	if err := c.missingTo(c.end, maxOffset); err != nil {
		return err
	}
	c.r.add(&c.tally)
	return c.rest()
}

// segments copies the segments of the lane and ends it.
func (c *laneCopy) segments(files []segmentFile) (err error) {
	dir := filepath.Join(c.r.out, filepath.Dir(runPath(c.lane, delayindex.RunInfo{})))
	if c.index, err = delayindex.Open(dir, nil, 0, &delayindex.Options{Lane: c.lane}); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.ending.wait(), c.running.wait(), c.index.Close()) }()
	logs := filepath.Join(c.r.out, filepath.Dir(segmentPath(c.lane, 0)))
	if err := os.MkdirAll(logs, 0o755); err != nil {
		return err
	}
	capSizes(files)
	for i, f := range files {
		next := int64(maxOffset)
		if i+1 < len(files) {
			next = files[i+1].base
		}
		if f.base < c.end {
			c.r.e.note("%s begins inside of the segment before it: it is no segment of this store, and is left out", segmentPath(c.lane, f.base))
			continue
		}
		if err := c.segment(f, next); err != nil {
			return err
		}
	}
	if err := errors.Join(c.writeRun(c.end), c.running.wait(), c.ending.wait()); err != nil {
		return err
	}
	c.r.madeMu.Lock()
	defer c.r.madeMu.Unlock()
	c.r.made.IndexedUpTo[c.lane] = c.end
	return durable.SyncDir(logs)
}

// capSizes takes away what files have grown by: a store does not open a segment that is
// larger than its others.
func capSizes(files []segmentFile) {
	whole := wholeSize(func(yield func(int64) bool) {
		for i := range files {
			if !yield(files[i].size) {
				return
			}
		}
	})
	for i := range files {
		if f := &files[i]; whole > 0 {
			f.size = min(f.size, whole)
		} else {
			f.size -= f.size % pageSize
		}
	}
}

// missingTo prints what was in registered segments in [from, to), which are not there.
func (c *laneCopy) missingTo(from, to int64) error {
	for _, info := range c.r.m.Segments[c.lane] {
		if info.Base < from || info.Base >= to {
			continue
		}
		if err := c.missing(info.Base, info.End); err != nil {
			return err
		}
	}
	return nil
}

// segment copies one segment, frame by frame; next is where the one after it begins.
func (c *laneCopy) segment(f segmentFile, next int64) (err error) {
	known, _ := segmentInfo(c.r.m, c.lane, f.base)
	c.path, c.base = f.path, f.base
	c.info = commitlog.SegmentInfo{Base: f.base, End: f.base, CreatedMs: known.CreatedMs, MaxFireMs: known.MaxFireMs, MaxStoreMs: known.MaxStoreMs}
	if c.out, err = newSegmentWriter(filepath.Join(c.r.out, segmentPath(c.lane, f.base))); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, c.out.close())
		}
	}()
	// What refers to places before this segment refers to one that is gone.
	if err := errors.Join(c.missingTo(c.end, f.base), c.lostBefore(commitlog.MakeLoc(c.lane, f.base), "its file is missing")); err != nil {
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
			c.out.write(func(b []byte) []byte {
				return commitlog.AppendSeal(b, commitlog.MakeLoc(c.lane, end.Pos-commitlog.FrameHeaderSize), c.last)
			})
		}
		c.end = max(end.Pos, min(f.base+f.size, next)) // a file that was cut short is as long again
	}
	c.index.Add(c.batch, c.end)
	c.batch = c.batch[:0]
	if err := c.endFar(f.base); err != nil {
		return err
	}
	c.r.madeMu.Lock()
	c.r.made.Segments[c.lane] = append(c.r.made.Segments[c.lane], c.info)
	c.r.madeMu.Unlock()
	if err := c.ending.wait(); err != nil {
		return err
	}
	out := c.out
	return c.ending.start(func() error { return errors.Join(out.finish(f.size), out.close()) })
}

// endFar ends a segment of the far lane: with its run, so that it can move to a cold
// file on its own, and with the cut of what has moved already.
func (c *laneCopy) endFar(base int64) error {
	if c.lane != store.FarLane {
		return nil
	}
	for _, cut := range c.r.m.Cuts {
		if cut.Base == base {
			known, _ := segmentInfo(c.r.m, c.lane, base)
			c.info.MaxFireMs = min(c.info.MaxFireMs, max(cut.FireMs-1, known.MaxFireMs))
			c.r.madeMu.Lock()
			c.r.made.Cuts = append(c.r.made.Cuts, cut)
			c.r.madeMu.Unlock()
		}
	}
	return c.writeRun(c.end)
}

// frame copies a frame and takes its records in.
func (c *laneCopy) frame(f *commitlog.Frame) error {
	c.out.write(f.Append)
	c.last = f.StoreMs
	ordinary, maxFireMs := f.Raw(), int64(0)
	for it := range f.Items() {
		if it.Scheduled() {
			maxFireMs = max(maxFireMs, it.When)
		} else {
			ordinary = true
		}
		at, err := c.known(&it)
		if err == nil {
			err = c.record(&it, f.StoreMs, at)
		}
		if err != nil {
			return err
		}
	}
	c.info.Count(int64(f.Records), f.StoreMs, ordinary, maxFireMs)
	c.info.End = f.End
	c.index.Add(c.batch, f.End)
	c.batch = c.batch[:0]
	if c.added >= copyEntries || f.End-c.ran >= copyRun {
		if err := c.writeRun(f.End); err != nil {
			return err
		}
	}
	return c.out.failed
}

// record takes a record in; at is what refers to it.
func (c *laneCopy) record(it *commitlog.Item, storeMs int64, at *ref) error {
	if at != nil && it.Scheduled() {
		c.info.MaxFireMs = max(c.info.MaxFireMs, at.ms)
	}
	f, err := c.takeIn(it, storeMs, at)
	if f == fatePending {
		c.batch = append(c.batch, itemEntry(it))
		c.added++
	}
	return err
}

// damaged replaces a range without valid frames: by a hole if it was given back, else
// by the records of it that are good all the same, and frames without records.
func (c *laneCopy) damaged(from, to int64, reason error) error {
	c.out.skip(from - c.base)
	refs, entries, err := c.within(from, to)
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
	c.lost(refs, entries, good, reason.Error())
	return nil
}

// rawKey reads the key of a message out of a damaged frame.
func (c *laneCopy) rawKey(loc commitlog.Loc, size uint32) any {
	off := loc.Offset() - c.base
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

// filler writes frames without records over [from, to). It leaves a hole where there is
// no room for one, which only a MANIFEST that does not fit the files can ask for.
func (c *laneCopy) filler(from, to int64) {
	for to-from >= commitlog.FrameHeaderSize {
		n := to - from
		if n > maxFiller {
			n = min(maxFiller, n-commitlog.FrameHeaderSize) // what is left has room for a header
		}
		c.out.write(func(b []byte) []byte {
			return commitlog.AppendFiller(b, commitlog.MakeLoc(c.lane, from), c.last, int(n))
		})
		from += n
	}
	c.out.skip(to - c.base)
	c.info.End = to
}
