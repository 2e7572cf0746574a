package tools

import (
	"context"
	"errors"
	"fmt"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// tileCheck meets the records of a tile with its run and with journal and queues.
type tileCheck struct {
	l   *laneCheck
	t   tile
	ctx context.Context

	run    *logOrder // entries of the run; empty if there is none
	known  bool      // the entries are all there; if not, nobody is missed
	refs   *refCursor
	failed error
	keys   *keyTally

	seen, pending  int64
	unindexed      unindexed
	damage         []damagedRange
	firings, slots []ref // scratch of record
}

// tile checks one piece.
func (l *laneCheck) tile(ctx context.Context, t tile) (err error) {
	k := &tileCheck{l: l, t: t, ctx: ctx, run: l.c.order()}
	defer l.c.orders.Put(k.run)
	if t.run == nil {
		return k.scan()
	}
	f, err := k.openRun()
	if err != nil {
		return err
	}
	if f != nil {
		defer func() { err = errors.Join(err, f.Close()) }()
		if err := k.load(f); err != nil {
			return err
		}
	}
	return k.scan()
}

// order takes memory for the entries of a tile; there is as much as for the tiles that
// are checked at once.
func (c *check) order() *logOrder {
	if o, ok := c.orders.Get().(*logOrder); ok {
		o.reset(0, 0, 0)
		return o
	}
	return &logOrder{}
}

// scan reads the tile's part of the log.
func (k *tileCheck) scan() (err error) {
	k.keys = k.l.c.keyTally(k.t.lane)
	defer func() { k.keys.flush() }()
	if k.refs, err = k.l.c.refs.from(k.loc(k.t.from)); err != nil {
		return err
	}
	var buf []byte
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
			err = k.file(f, lo, hi, &buf)
		}
		if err != nil {
			return err
		}
		at = hi
	}
	k.absent(at, min(k.t.to, k.l.end()))
	k.rest()
	k.reportDamage()
	k.reportUnindexed()
	k.l.c.totals.records.Add(k.seen)
	k.l.c.totals.pending.Add(k.pending)
	return k.failed
}

// file reads the part [lo, hi) of a segment.
func (k *tileCheck) file(f segmentFile, lo, hi int64, buf *[]byte) error {
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
	var sums segmentSums
	end, err := commitlog.ScanFile(f.path, commitlog.FileScan{
		Lane: k.t.lane, Base: f.base, From: lo, Limit: limit, Known: min(known, hi), Whole: !f.last || seg.info.Sealed, Buffer: buf,
		Visit: func(fr commitlog.Frame) error {
			k.l.c.count(fr.End - at)
			at = fr.End
			k.frame(&fr, &sums)
			return errors.Join(k.failed, k.ctx.Err())
		},
		Damaged: func(from, to int64, reason *commitlog.CorruptionError) {
			at = to
			k.damaged(f, from, to, reason.Err)
		},
	})
	seg.sums.merge(&sums)
	if end.Torn > 0 && k.t.to > end.Pos {
		k.l.c.find(finding{
			severity: severityNotice, check: "frame", file: relative(k.l.c.dir, f.path), offset: end.Pos - f.base,
			what: fmt.Sprintf("an incomplete frame of %d bytes at the end", end.Torn), lost: "nothing that was acknowledged",
			next: "nothing: normal after a crash and in a store in use",
		})
	}
	return k.l.c.readError(err, k.t.lane, f.base)
}

// frame checks the records of a frame.
func (k *tileCheck) frame(fr *commitlog.Frame, sums *segmentSums) {
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
func (k *tileCheck) loc(off int64) commitlog.Loc { return commitlog.MakeLoc(k.t.lane, off) }
