package tools

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/store"
)

// The lane of cold files is checked like any other: tiles, cut at its runs, in
// which records are met with entries, firings and slots. Only the reading differs.

// files lists what a lane consists of on disk.
func (c *check) files(lane uint8) ([]segmentFile, error) {
	if !isCold(lane) {
		return listSegments(c.dir, c.m, lane)
	}
	names, err := coldNames(c.dir)
	var out []segmentFile
	for _, name := range names { // in the order of their bases
		f := segmentFile{lane: lane, path: filepath.Join(c.dir, filepath.Dir(segmentPath(lane, 0)), name)}
		base, whole := parseSegmentName(name)
		info, registered := segmentInfo(c.m, lane, base)
		if !whole || !registered {
			c.strayCold(f.path, name)
			continue
		}
		f.base, f.size = base, info.End-base
		out = append(out, f)
	}
	return out, err
}

// leftBehind tells of segments whose messages have moved.
func (c *check) leftBehind() {
	for _, x := range c.m.Cold {
		if file := segmentPath(store.FarLane, x.Base); hasMoved(c.m, &segmentFile{lane: store.FarLane, base: x.Base}) {
			c.stray(file, "a segment whose messages have moved to a cold file: left by a crash")
		}
	}
}

// strayCold tells of a cold file that belongs to nobody.
func (c *check) strayCold(path, name string) {
	if base, whole := parseSegmentName(name); whole && c.hasSegment(store.ColdLane, base) {
		return // registered since
	}
	if c.onlyCopy(path, name) {
		return
	}
	what := "a cold file that is not registered: being written, left by a crash, or just given up"
	if strings.HasSuffix(name, ".tmp") {
		what = "a cold file that is not complete: being written, or left by a crash"
	}
	c.stray(relative(c.dir, path), what)
}

// onlyCopy reports a cold file that is not registered and has messages that are pending,
// which no segment has any more: the MANIFEST has lost the edit that registered it. (A file
// is given up when all of it has fired, and a segment when its file is registered.)
func (c *check) onlyCopy(path, name string) bool {
	base, whole := parseSegmentName(name)
	if !whole {
		return false
	}
	if _, err := os.Stat(filepath.Join(c.dir, segmentPath(store.FarLane, base))); !errors.Is(err, fs.ErrNotExist) {
		return false
	}
	info, err := ownColdInfo(path, nil)
	if m := c.latest(); err != nil || info.Size == 0 || info.MaxFireMs <= m.FiredMs || c.hasSegment(store.ColdLane, base) {
		return false
	}
	c.find(finding{
		severity: severityLost, check: "cold", file: relative(c.dir, path),
		what: fmt.Sprintf("a cold file that is not registered has the only copy of %d messages, due up to %s", info.Records, humanText(ms(info.MaxFireMs))),
		lost: "these messages: the next start deletes the file", next: "do not start the broker on it; " + c.repairHint(),
	})
	return true
}

// coldFile reads the part [lo, hi) of a cold file.
func (k *tileCheck) coldFile(f segmentFile, lo, hi int64) error {
	info, _ := coldAt(k.l.c.m, f.base)
	r, err := cold.OpenFile(f.path, f.lane, &info)
	if err != nil {
		return k.l.c.readError(err, f.lane, f.base)
	}
	defer r.Close()
	if lo == f.base {
		k.cold++
		k.coldShape(f, r)
	}
	if dead := f.base + info.DeadTo; lo < dead {
		k.collect(damagedRange{
			file: relative(k.l.c.dir, f.path), from: lo, to: min(dead, hi), reason: errors.New("given back by the store"), given: true,
		})
	}
	return k.coldRecords(f, r, lo, hi)
}

// coldShape reports damage to what finds the blocks.
func (k *tileCheck) coldShape(f segmentFile, r *cold.File) {
	for _, err := range r.Damage() {
		var bad *commitlog.CorruptionError
		if !errors.As(err, &bad) || !k.l.c.hasSegment(f.lane, f.base) {
			continue
		}
		k.find(finding{
			severity: severityDamaged, check: "cold", file: relative(k.l.c.dir, f.path), offset: bad.Offset, what: "header or block table: " + bad.Err.Error(),
			lost: "nothing: the blocks are found by their own headers",
			next: "put the file back from a copy, or: " + k.l.c.repairHint(),
		})
	}
}

func (k *tileCheck) coldRecords(f segmentFile, r *cold.File, lo, hi int64) error {
	var sums segmentFigures
	defer func() { k.sum(f.base, sums) }()
	lastMs := int64(0)
	for it, err := range r.Records() {
		var lost *cold.BlockError
		off := it.Loc.Offset()
		switch {
		case errors.As(err, &lost):
			k.coldDamaged(f, lost, lo, hi)
			continue
		case err != nil:
			return err
		case off < lo:
			continue
		case off >= hi:
			return nil
		}
		if it.When < lastMs || !it.Scheduled() {
			k.coldOrder(f, r, &it)
		}
		lastMs = it.When
		sums.record(&it)
		k.record(&it)
		if k.keys != nil {
			if payload, err := r.View(off, it.Size); err == nil {
				k.keys.record(it.Loc, payload)
			}
		}
		k.count(commitlog.RecordHeaderSize + int64(it.Size))
		if err := errors.Join(k.failed, k.ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}

// coldDamaged notes a part of a cold file that no intact block has.
func (k *tileCheck) coldDamaged(f segmentFile, lost *cold.BlockError, lo, hi int64) {
	k.l.segs[f.base].sums.damage()
	if lost.To <= lo || lost.From >= hi || !k.l.c.hasSegment(f.lane, f.base) {
		return // another tile, or recycled while it was read
	}
	k.collect(damagedRange{
		file: relative(k.l.c.dir, f.path), offset: lost.Offset, from: max(lost.From, lo), to: min(lost.To, hi), reason: lost.Err,
		given: k.l.c.gaveBack(f.lane, lost.From, lost.To),
	})
}

func (k *tileCheck) coldOrder(f segmentFile, r *cold.File, it *commitlog.Item) {
	at, _ := r.Block(it.Loc.Offset())
	k.find(finding{
		severity: severityDamaged, check: "cold", file: relative(k.l.c.dir, f.path), offset: at.Offset,
		what: fmt.Sprintf("the record at %v, due %s, is not in the order in which they fire", it.Loc, humanText(ms(it.When))),
		lost: "nothing yet: it may be given back too early", next: k.l.c.repairHint(),
	})
}
