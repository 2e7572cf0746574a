package tools

import (
	"context"
	"errors"
	"fmt"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// tileCheck meets the records of a tile with its run and with journal and queues.
// What it finds is its own until it is committed.
//
// Whatever has fired may be in the log and not in the run any more. All else must be in
// both: a run leaves out only what a mark covers, and what it covers stays so. Of these
// entries a quick check compares two sums, one over the run and one over the records.
// If they are equal nothing is wrong; if not, all that the check found is given up and
// an exact one begins anew, which has the entries in memory. A quick one has only those
// of what is over.
type tileCheck struct {
	l     *laneCheck
	t     *tile
	ctx   context.Context
	exact bool

	log    entrySum  // of the records, for a quick check
	run    *logOrder // entries of the run that are met one by one; empty if there is none
	known  bool      // the entries are all there; if not, nobody is missed
	refs   *refCursor
	failed error
	keys   *keyTally

	seen, pending  int64
	cold           int64 // files
	bytes          int64 // read
	sums           []tileSums
	found          []finding
	unindexed      unindexed
	damage         []damagedRange
	firings, slots []ref // scratch of record
}

// tileSums is what a tile saw of one segment.
type tileSums struct {
	base int64
	segmentFigures
}

// check checks the tile.
func (t *tile) check(ctx context.Context) error {
	if t.run != nil {
		same, err := t.quick(ctx)
		if err != nil || same {
			return err
		}
	}
	return t.exact(ctx)
}

// quick reports whether run and log agree; then the tile is done.
func (t *tile) quick(ctx context.Context) (same bool, err error) {
	k := &tileCheck{l: t.l, t: t, ctx: ctx, run: t.over}
	if k.run == nil {
		k.run = t.order(0)
	}
	defer t.l.c.orders.Put(k.run)
	k.run.sort()
	done := t.l.c.turn()
	err = k.scan()
	done()
	if err != nil {
		return false, err
	}
	<-t.loaded
	if !t.known || k.log != t.sum {
		k.l.c.read.Add(-k.bytes)
		k.l.c.again.Add(1)
		return false, nil
	}
	k.commit()
	return true, nil
}

// exact meets each record with its entry.
func (t *tile) exact(ctx context.Context) error {
	defer t.l.c.turn()()
	k := &tileCheck{l: t.l, t: t, ctx: ctx, exact: true}
	n := int64(0)
	if t.run != nil {
		n = int64(float64(t.run.Count) * float64(t.to-t.from) / float64(t.run.End-t.run.Start))
	}
	k.run = t.order(n)
	defer t.l.c.orders.Put(k.run)
	if t.run != nil {
		var err error
		r := runReader{l: t.l, run: t.run}
		if k.known, err = r.read(ctx, k.run.add); err != nil {
			return err
		}
		k.run.sort()
	}
	if err := k.scan(); err != nil {
		return err
	}
	k.commit()
	return nil
}

// commit adds what the tile saw to the check.
func (k *tileCheck) commit() {
	c := k.l.c
	for _, f := range k.found {
		c.find(f)
	}
	for _, s := range k.sums {
		k.l.segs[s.base].sums.merge(s.segmentFigures)
	}
	k.keys.commit()
	c.totals.records.Add(k.seen)
	c.totals.pending.Add(k.pending)
	c.totals.cold.Add(k.cold)
	p := k.t.part
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unindexed.merge(&k.unindexed)
}

func (k *tileCheck) find(f finding) {
	if len(k.found) < maxFindings {
		k.found = append(k.found, f)
	}
}

// count adds to the bytes read.
func (k *tileCheck) count(bytes int64) {
	k.bytes += bytes
	k.l.c.count(bytes)
}

// sum keeps what was seen of the segment at base.
func (k *tileCheck) sum(base int64, s segmentFigures) {
	k.sums = append(k.sums, tileSums{base, s})
}

// turn waits until another tile may be read, and ends with done.
func (c *check) turn() (done func()) {
	c.scans <- struct{}{}
	return func() { <-c.scans }
}

// order takes memory for the entries of a tile.
func (c *check) order() *logOrder {
	if o, ok := c.orders.Get().(*logOrder); ok {
		return o
	}
	return &logOrder{}
}

// buffer takes memory for a scan.
func (c *check) buffer() *commitlog.ScanBuffer {
	if b, ok := c.buffers.Get().(*commitlog.ScanBuffer); ok {
		return b
	}
	return &commitlog.ScanBuffer{}
}

// scan reads the tile's part of the log.
func (k *tileCheck) scan() (err error) {
	k.keys = k.l.c.keyTally(k.l.lane)
	if k.refs, err = k.l.c.refs.from(k.loc(k.t.from)); err != nil {
		return err
	}
	buf := k.l.c.buffer()
	defer k.l.c.buffers.Put(buf)
	at := k.t.from
	for _, f := range k.l.files {
		lo, hi := max(k.t.from, f.base), min(k.t.to, f.base+f.size)
		if lo >= hi {
			continue
		}
		k.absent(at, lo)
		var err error
		if isCold(f.lane) {
			err = k.coldFile(f, lo, hi)
		} else {
			err = k.file(f, lo, hi, buf)
		}
		if err != nil {
			return err
		}
		at = hi
	}
	k.absent(at, min(k.t.to, k.l.end()))
	k.rest()
	k.reportDamage()
	return k.failed
}

// file reads the part [lo, hi) of a segment.
func (k *tileCheck) file(f segmentFile, lo, hi int64, buf *commitlog.ScanBuffer) error {
	seg := k.l.segs[f.base]
	known := seg.info.End
	if k.t.indexed {
		known = max(known, min(k.t.to, hi)) // indexed, so it was committed
	}
	limit := hi
	if seg.info.Sealed {
		limit = min(limit, max(seg.info.End, lo))
	}
	at := lo
	var sums segmentFigures
	end, err := commitlog.ScanFile(f.path, commitlog.FileScan{
		Lane: k.l.lane, Base: f.base, From: lo, Limit: limit, Known: min(known, hi), Whole: !f.last || seg.info.Sealed, Buffer: buf,
		Visit: func(fr commitlog.Frame) error {
			k.count(fr.End - at)
			at = fr.End
			k.frame(&fr, &sums)
			return errors.Join(k.failed, k.ctx.Err())
		},
		Damaged: func(from, to int64, reason *commitlog.CorruptionError) {
			at = to
			k.damaged(f, from, to, reason.Err)
		},
	})
	k.sum(f.base, sums)
	if end.Torn > 0 && k.t.to > end.Pos {
		k.find(finding{
			severity: severityNotice, check: "frame", file: relative(k.l.c.dir, f.path), offset: end.Pos - f.base,
			what: fmt.Sprintf("an incomplete frame of %d bytes at the end", end.Torn), lost: "nothing that was acknowledged",
			next: "nothing: normal after a crash and in a store in use",
		})
	}
	return k.l.c.readError(err, k.l.lane, f.base)
}

// frame checks the records of a frame.
func (k *tileCheck) frame(fr *commitlog.Frame, sums *segmentFigures) {
	for it, payload := range fr.Items() {
		sums.record(&it)
		k.record(&it)
		if k.keys != nil {
			k.keys.record(it.Loc, payload)
		}
	}
}

// entriesBefore hands out the run's entries below loc.
func (k *tileCheck) entriesBefore(loc commitlog.Loc, visit func(*delayindex.Entry)) {
	for e := k.run.head(); e != nil && e.Loc < uint64(loc); e = k.run.head() {
		k.run.pop()
		visit(e)
	}
}

// loc is a place in the tile's lane.
func (k *tileCheck) loc(off int64) commitlog.Loc { return commitlog.MakeLoc(k.l.lane, off) }
