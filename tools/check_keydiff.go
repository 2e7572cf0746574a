package tools

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/keyindex"
	"github.com/duelog/duelog/server/message"
)

// keySlice is how many entries of a run are compared with the log at once: 96 MiB.
const keySlice = 4 << 20

// placedKey is an entry and where it stands in the file of its run.
type placedKey struct {
	keyindex.Entry
	at int64
}

// compare goes through log and run side by side, a slice of lane offsets at a time.
func (k *keyRunCheck) compare(ctx context.Context, f *keyindex.RunFile) error {
	n := (k.p.run.Count + keySlice - 1) / keySlice
	step := (k.p.to - k.p.from + n - 1) / n
	for lo := k.p.from; lo < k.p.to; lo += step {
		d := &keyDiff{k: k, lo: lo, hi: min(lo+step, k.p.to)}
		if err := d.load(ctx, f); err != nil {
			return err
		}
		if err := d.scan(ctx); err != nil {
			return err
		}
	}
	return nil
}

// keyDiff is the comparison of the lane offsets [lo, hi).
type keyDiff struct {
	k       *keyRunCheck
	lo, hi  int64
	entries []placedKey // that were not met yet, in the order of the log
	failed  error
}

func (d *keyDiff) load(ctx context.Context, f *keyindex.RunFile) error {
	var block []keyindex.Entry
	for i := range f.Blocks() {
		var err error
		if block, err = f.Block(i, block[:0]); err != nil {
			return d.k.damage(err, d.k.c.keysPassed())
		}
		for j, e := range block {
			if off := commitlog.Loc(e.Loc).Offset(); off >= d.lo && off < d.hi {
				d.entries = append(d.entries, placedKey{e, f.BlockOffset(i) + int64(j)*keyindex.EntrySize})
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	slices.SortFunc(d.entries, func(a, b placedKey) int { return cmp.Or(cmp.Compare(a.Loc, b.Loc), cmp.Compare(a.Hash, b.Hash)) })
	d.entries = slices.CompactFunc(d.entries, func(a, b placedKey) bool { return a.Entry == b.Entry })
	return nil
}

// scan reads the log of the slice, each file from its beginning, which is where a
// frame begins.
func (d *keyDiff) scan(ctx context.Context) error {
	files, err := d.k.c.files(d.k.p.lane)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.base >= d.hi || f.base+f.size <= d.lo {
			continue
		}
		if isCold(f.lane) {
			err = d.coldFile(ctx, f)
		} else {
			err = d.segment(ctx, f)
		}
		if err = errors.Join(err, d.failed); err != nil {
			return err
		}
	}
	d.before(commitlog.MakeLoc(d.k.p.lane, d.hi))
	return d.failed
}

func (d *keyDiff) segment(ctx context.Context, f segmentFile) error {
	info, _ := segmentInfo(d.k.c.m, f.lane, f.base)
	limit := min(d.hi, f.base+f.size)
	if info.Sealed {
		limit = min(limit, info.End)
	}
	_, err := commitlog.ScanFile(f.path, commitlog.FileScan{
		Lane: f.lane, Base: f.base, Limit: limit, Whole: !f.last,
		Visit: func(fr commitlog.Frame) error {
			for it, payload := range fr.Items() {
				d.record(it.Loc, payload)
			}
			return errors.Join(d.failed, ctx.Err())
		},
	})
	if isGone(err) {
		return nil
	}
	return err
}

func (d *keyDiff) coldFile(ctx context.Context, f segmentFile) error {
	info, _ := coldAt(d.k.c.m, f.base)
	return eachColdRecord(ctx, d.k.c.dir, &info, func(r *cold.File, it *commitlog.Item, err error) error {
		if err != nil {
			return nil // has a finding of its own
		}
		payload, err := r.View(it.Loc.Offset(), it.Size)
		if err == nil {
			d.record(it.Loc, payload)
		}
		return errors.Join(err, d.failed)
	})
}

// record meets a message with its entries.
func (d *keyDiff) record(loc commitlog.Loc, payload []byte) {
	if off := loc.Offset(); off < d.lo || off >= d.hi {
		return
	}
	d.before(loc)
	n := 0
	for n < len(d.entries) && d.entries[n].Loc == uint64(loc) {
		n++
	}
	mine := d.entries[:n]
	d.entries = d.entries[n:]
	k := d.k
	k.hashes = keysOf(payload, k.hashes[:0])
	for _, h := range k.hashes {
		if !slices.ContainsFunc(mine, func(e placedKey) bool { return e.Hash == h }) && !contains(k.p.unseen, loc.Offset()) {
			k.missing.add(keyindex.Entry{Hash: h, Loc: uint64(loc)}, 0)
		}
	}
	var m message.Message
	if len(mine) > 0 && message.Decode(payload, &m) != nil {
		return // stored by another program, which has other keys
	}
	for _, e := range mine {
		if !slices.Contains(k.hashes, e.Hash) {
			k.wrong.add(e.Entry, e.at)
		}
	}
}

// before looks at the entries below loc that no message of the log has met.
func (d *keyDiff) before(loc commitlog.Loc) {
	for len(d.entries) > 0 && d.entries[0].Loc < uint64(loc) && d.failed == nil {
		e := d.entries[0]
		d.entries = d.entries[1:]
		d.failed = d.k.alone(e.Entry, e.at)
	}
}
