package tools

import (
	"fmt"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// lane lists the segments of a lane and checks how it is cut.
func (c *check) lane(lane uint8) (*laneCheck, error) {
	files, err := c.files(lane)
	if err != nil {
		return nil, err
	}
	c.missingSegments(lane, files)
	l := &laneCheck{c: c, lane: lane, segs: map[int64]*segmentCheck{}}
	for _, f := range files {
		info, registered := segmentInfo(c.m, lane, f.base)
		if !registered && !c.adoptable(f) {
			continue
		}
		if !isCold(lane) {
			c.totals.segments.Add(1)
		}
		f.size = max(f.size, info.End-f.base) // of one that was cut short the rest is missed too
		l.files = append(l.files, f)
		l.segs[f.base] = &segmentCheck{info: info, registered: registered}
	}
	c.tiling(lane)
	return l, nil
}

// tiling checks I1: the runs of a lane do not overlap, and end where the index does.
func (c *check) tiling(lane uint8) {
	upTo := indexedUpTo(c.m, lane)
	end := int64(0)
	for _, r := range c.m.Runs[lane] {
		c.totals.runs.Add(1)
		if r.Start < end || r.End <= r.Start || r.End > upTo {
			c.find(finding{
				severity: severityLost, check: "tiling", file: runPath(lane, r),
				what: fmt.Sprintf("the run stands for [%d, %d), but the one before it ends at %d and the index at %d", r.Start, r.End, end, upTo),
				lost: "the store does not open", next: c.repairHint(),
			})
		}
		end = max(end, r.End)
	}
}

// laneCheck is the check of one lane.
type laneCheck struct {
	c     *check
	lane  uint8
	files []segmentFile
	segs  map[int64]*segmentCheck // by base; the map is not changed any more
}

// segmentCheck adds up what a segment holds, for comparison with the MANIFEST.
type segmentCheck struct {
	info       commitlog.SegmentInfo
	registered bool
	sums       segmentSums
}

// maxOffset is the end of every lane.
const maxOffset = 1<<56 - 1

// parts cuts the lane. Together they cover all of it, also where no file is, so
// that nothing that refers to a place in it goes unseen.
func (l *laneCheck) parts() []*part {
	var out []*part
	upTo := indexedUpTo(l.c.m, l.lane)
	at := int64(0)
	runs := l.c.m.Runs[l.lane]
	for i := range runs {
		out = l.gap(out, at, runs[i].Start, true)
		out = append(out, l.split(&runs[i])...)
		at = max(at, runs[i].End)
	}
	out = l.gap(out, at, upTo, true)
	return l.gap(out, max(at, upTo), maxOffset, false)
}

// split cuts what a run stands for into parts of which the entries fit into memory.
func (l *laneCheck) split(run *delayindex.RunInfo) (out []*part) {
	n := (run.Count + runSlice - 1) / runSlice
	at := run.Start
	for i := range max(n, 1) {
		to := run.End
		if i+1 < n {
			to = l.nextFrame(run.Start+(run.End-run.Start)/n*(i+1), run.End)
		}
		if at < to {
			out = append(out, &part{l: l, from: at, to: to, run: run, indexed: true, first: at == run.Start})
		}
		at = max(at, to)
	}
	return out
}

// frameSpan is how much is read at first to find a frame: most are smaller.
const frameSpan = 256 << 10

// nextFrame is where the first frame behind off begins, or end if none begins before it.
// What claims to be a frame at its own place, with the right checksum, is one.
func (l *laneCheck) nextFrame(off, end int64) (at int64) {
	at = end
	for _, f := range l.files {
		lo, hi := max(off, f.base), min(end, f.base+f.size)
		switch {
		case lo >= hi:
			continue
		case isCold(l.lane) || lo == f.base:
			return lo
		}
		for span := int64(frameSpan); at == end; span *= 8 {
			_, err := commitlog.ScanFile(f.path, commitlog.FileScan{
				Lane: l.lane, Base: f.base, From: lo, Limit: min(lo+span, hi), Whole: true,
				Visit: func(fr commitlog.Frame) error { at = fr.Loc.Offset(); return errEnough },
			})
			if err != nil { // found, or the file is gone
				return at
			}
			if lo+span >= hi {
				break
			}
		}
	}
	return at
}

// gap cuts what no run stands for at the ends of segments.
func (l *laneCheck) gap(out []*part, from, to int64, indexed bool) []*part {
	add := func(lo, hi int64) {
		if lo = max(lo, from); lo < min(hi, to) {
			out = append(out, &part{l: l, from: lo, to: min(hi, to), indexed: indexed})
		}
	}
	at := int64(0)
	for _, f := range l.files {
		add(at, f.base)
		add(f.base, f.base+f.size)
		at = f.base + f.size
	}
	add(at, maxOffset)
	return out
}

// end is where the files of the lane end.
func (l *laneCheck) end() int64 {
	if len(l.files) == 0 {
		return 0
	}
	last := l.files[len(l.files)-1]
	return last.base + last.size
}

// knownEnd is up to where the lane reached when the MANIFEST was read: what lies
// before it and in no segment was there once and is dead.
func (l *laneCheck) knownEnd() int64 {
	end := indexedUpTo(l.c.m, l.lane)
	if int(l.lane) < len(l.c.m.Absorbed) {
		end = max(end, l.c.m.Absorbed[l.lane])
	}
	return end
}

// hasFile tells whether a place of the lane is on disk, in a segment that the store
// still has.
func (l *laneCheck) hasFile(off int64) bool {
	for _, f := range l.files {
		if f.base <= off && off < f.base+f.size {
			return !l.segs[f.base].registered || l.c.hasSegment(l.lane, f.base)
		}
	}
	return false
}
