package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/store"
)

// runSlice is how many entries of a run are in memory at once: 256 MiB.
const runSlice = 8 << 20

// tile is a piece of a lane that is checked on its own: what a run stands for, or
// what lies between two runs, never beyond the end of a segment when there is no
// run to keep it together.
type tile struct {
	lane     uint8
	from, to int64
	run      *delayindex.RunInfo // nil: nothing of it should be pending, or it is not indexed yet
	indexed  bool                // lies before indexedUpTo
}

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

// tiles cuts the lane. Together they cover all of it, also where no file is, so
// that nothing that refers to a place in it goes unseen.
func (l *laneCheck) tiles() []tile {
	var out []tile
	upTo := indexedUpTo(l.c.m, l.lane)
	at := int64(0)
	runs := l.c.m.Runs[l.lane]
	for i := range runs {
		out = l.gap(out, at, runs[i].Start, true)
		out = append(out, tile{lane: l.lane, from: runs[i].Start, to: runs[i].End, run: &runs[i], indexed: true})
		at = max(at, runs[i].End)
	}
	out = l.gap(out, at, upTo, true)
	return l.gap(out, max(at, upTo), maxOffset, false)
}

// gap cuts what no run stands for at the ends of segments.
func (l *laneCheck) gap(out []tile, from, to int64, indexed bool) []tile {
	add := func(lo, hi int64) {
		if lo = max(lo, from); lo < min(hi, to) {
			out = append(out, tile{lane: l.lane, from: lo, to: min(hi, to), indexed: indexed})
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

// tile checks one piece: in one go, or slice by slice if its run is too large.
func (l *laneCheck) tile(ctx context.Context, t tile) error {
	k := &tileCheck{l: l, t: t, ctx: ctx}
	if t.run == nil {
		return k.scan()
	}
	return k.withRun()
}

// tileCheck meets the records of a tile with its run and with journal and queues.
type tileCheck struct {
	l   *laneCheck
	t   tile
	ctx context.Context

	entries []delayindex.Entry // of the run, by location
	known   bool               // the entries are all there; if not, nobody is missed
	lo, hi  uint64             // the locations for which entries has what there is
	refs    *refCursor
	failed  error
	again   bool // another slice has seen these records already
	keys    *keyTally

	damage         []damagedRange
	firings, slots []ref // scratch of record
}

// damagedRange is a piece of the log that cannot be read, and what was in it.
type damagedRange struct {
	file       string
	offset     int64
	from, to   int64
	reason     error
	sum        lostSum
	unreadable bool // there is no file
	given      bool // the store gave some of it back: only what is pending can be missed
}

// lostSum describes lost messages by what refers to them.
type lostSum struct {
	pending, visible   int64
	minFire, maxFire   int64
	queue              uint32
	minSlot, maxSlot   int64
	morethanOneOfQueue bool
}

func (s *lostSum) entry(e *delayindex.Entry) {
	if s.pending == 0 {
		s.minFire, s.maxFire = e.FireMs(), e.FireMs()
	}
	s.pending++
	s.minFire, s.maxFire = min(s.minFire, e.FireMs()), max(s.maxFire, e.FireMs())
}

func (s *lostSum) ref(r *ref) {
	if r.kind != refQueue {
		return
	}
	if s.visible == 0 {
		s.queue, s.minSlot, s.maxSlot = r.queue, r.slot, r.slot
	}
	s.visible++
	s.morethanOneOfQueue = s.morethanOneOfQueue || r.queue != s.queue
	s.minSlot, s.maxSlot = min(s.minSlot, r.slot), max(s.maxSlot, r.slot)
}

func (s *lostSum) String(names queueNames) string {
	text := ""
	if s.pending > 0 {
		text = fmt.Sprintf("%d pending messages due %s to %s", s.pending, humanText(ms(s.minFire)), humanText(ms(s.maxFire)))
	}
	if s.visible > 0 {
		if text != "" {
			text += "; "
		}
		where := "in several queues"
		if !s.morethanOneOfQueue {
			where = fmt.Sprintf("in slots %d to %d of %s", s.minSlot, s.maxSlot, names.name(s.queue))
		}
		text += fmt.Sprintf("%d visible messages %s", s.visible, where)
	}
	if text == "" {
		return "no message that is pending or visible by index and queues; those stored last are not in them yet"
	}
	return text
}

// withRun loads the run and scans.
func (k *tileCheck) withRun() error {
	f, err := delayindex.OpenRunFile(filepath.Join(k.l.c.dir, runPath(k.t.lane, *k.t.run)))
	if err != nil {
		if err := k.runDamage(err, 0); err != nil {
			return err
		}
		return k.scan()
	}
	defer f.Close()
	if !sameRun(f.Info(), *k.t.run) || f.Lane() != k.t.lane {
		if err := k.runDamage(fmt.Errorf("%w: header is not that of the registered run", delayindex.ErrLayout), 0); err != nil {
			return err
		}
		return k.scan()
	}
	if f.Info().Count <= runSlice {
		if k.known, err = k.load(f, 0, ^uint64(0), true); err != nil {
			return err
		}
		return k.scan()
	}
	return k.bySlices(f)
}

// sameRun compares what the file says of itself; what is hidden of it may change.
func sameRun(a, b delayindex.RunInfo) bool {
	a.CutMs, b.CutMs = 0, 0
	return a == b
}

// bySlices scans the tile once for each part of a run that is too large for memory.
func (k *tileCheck) bySlices(f *delayindex.RunFile) error {
	n := (f.Info().Count + runSlice - 1) / runSlice
	start, end := k.loc(k.t.from), k.loc(k.t.to)
	step := (uint64(end-start) + uint64(n) - 1) / uint64(n)
	for i := range uint64(n) {
		part := &tileCheck{l: k.l, t: k.t, ctx: k.ctx}
		lo := uint64(start) + i*step
		var err error
		if part.known, err = part.load(f, lo, lo+step, i == 0); err != nil {
			return err
		}
		if part.again = i > 0; part.again {
			part.l = k.l.silent()
		}
		if err := part.scan(); err != nil {
			return err
		}
	}
	return nil
}

// silent is l for another look at the same records: nothing is counted twice.
func (l *laneCheck) silent() *laneCheck {
	again := &laneCheck{c: l.c, lane: l.lane, files: l.files, segs: map[int64]*segmentCheck{}}
	for base, s := range l.segs {
		again.segs[base] = &segmentCheck{info: s.info, registered: s.registered}
	}
	return again
}

// load reads the entries of the run with a location in [lo, hi) into location
// order. all is false if some could not be read.
func (k *tileCheck) load(f *delayindex.RunFile, lo, hi uint64, report bool) (all bool, err error) {
	k.lo, k.hi = lo, hi
	k.entries = make([]delayindex.Entry, 0, min(f.Info().Count, runSlice))
	all = true
	var block []delayindex.Entry
	last := delayindex.Entry{}
	for i := range f.Blocks() {
		block, err = f.Block(i, block[:0])
		if err != nil {
			all = false
			if report {
				if err := k.runDamage(err, f.BlockOffset(i)); err != nil {
					return false, err
				}
			}
			continue
		}
		if report {
			k.order(f, i, block, last)
			k.l.c.count(int64(len(block)) * delayindex.EntrySize)
		}
		last = block[len(block)-1]
		for j := range block {
			if loc := block[j].Loc; loc >= lo && loc < hi {
				k.entries = append(k.entries, block[j])
			}
		}
		if k.ctx.Err() != nil {
			return false, k.ctx.Err()
		}
	}
	slices.SortFunc(k.entries, func(a, b delayindex.Entry) int { return cmp.Compare(a.Loc, b.Loc) })
	return all, nil
}

// order checks that entries stand in the order in which they fire.
func (k *tileCheck) order(f *delayindex.RunFile, i int64, block []delayindex.Entry, last delayindex.Entry) {
	for j := range block {
		if (i > 0 || j > 0) && delayindex.Compare(&last, &block[j]) > 0 {
			k.l.c.find(finding{
				severity: severityDamaged, check: "run", file: runPath(k.t.lane, *k.t.run), offset: f.BlockOffset(i) + int64(j)*delayindex.EntrySize,
				what: "entries are not in the order in which they fire", lost: "messages come late or not at all",
				next: k.l.c.repairHint(),
			})
			return
		}
		last = block[j]
	}
}

// runDamage reports what is wrong with the run, unless it was dropped meanwhile.
// It returns err if it is not about the run's bytes.
func (k *tileCheck) runDamage(err error, off int64) error {
	var bad *delayindex.CorruptionError
	switch {
	case errors.As(err, &bad):
		off = bad.Offset
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, delayindex.ErrLayout):
	default:
		return err
	}
	for _, r := range k.l.c.latest().Runs[k.t.lane] {
		if sameRun(r, *k.t.run) {
			k.l.c.find(finding{
				severity: severityDamaged, check: "run", file: runPath(k.t.lane, *k.t.run), offset: off, what: err.Error(),
				lost: "nothing: the commit log has what it says",
				next: "restart the broker, which makes it anew of that, or: " + k.l.c.repairHint(),
			})
			return nil
		}
	}
	return nil
}

// scan reads the tile's part of the log.
func (k *tileCheck) scan() (err error) {
	if !k.again {
		k.keys = k.l.c.keyTally(k.t.lane)
		defer func() { k.keys.flush() }()
	}
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
	return k.failed
}

// end is where the files of the lane end.
func (l *laneCheck) end() int64 {
	if len(l.files) == 0 {
		return 0
	}
	last := l.files[len(l.files)-1]
	return last.base + last.size
}

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
	end, err := commitlog.ScanFile(f.path, commitlog.FileScan{
		Lane: k.t.lane, Base: f.base, From: lo, Limit: limit, Known: min(known, hi), Whole: !f.last || seg.info.Sealed, Buffer: buf,
		Visit: func(fr commitlog.Frame) error {
			if !k.again {
				k.l.c.count(fr.End - at)
			}
			at = fr.End
			seg.sums.frame(&fr)
			for it, payload := range fr.Items() {
				k.record(&it)
				if k.keys != nil {
					k.keys.record(it.Loc, payload)
				}
			}
			return errors.Join(k.failed, k.ctx.Err())
		},
		Damaged: func(from, to int64, reason *commitlog.CorruptionError) {
			at = to
			k.damaged(f, from, to, reason.Err)
		},
	})
	if end.Torn > 0 && k.t.to > end.Pos && !k.again {
		k.l.c.find(finding{
			severity: severityNotice, check: "frame", file: relative(k.l.c.dir, f.path), offset: end.Pos - f.base,
			what: fmt.Sprintf("an incomplete frame of %d bytes at the end", end.Torn), lost: "nothing that was acknowledged",
			next: "nothing: normal after a crash and in a store in use",
		})
	}
	return k.l.c.readError(err, k.t.lane, f.base)
}

// damaged notes a piece of a file without valid frames.
func (k *tileCheck) damaged(f segmentFile, from, to int64, reason error) {
	seg := k.l.segs[f.base]
	seg.sums.damage()
	if seg.registered && !k.l.c.hasSegment(k.t.lane, f.base) {
		return // recycled while it was read
	}
	k.collect(damagedRange{
		file: relative(k.l.c.dir, f.path), offset: from - f.base, from: from, to: to, reason: reason,
		given: k.l.c.gaveBack(k.t.lane, from, to),
	})
}

// absent notes a piece of the lane of which there is no file. It is only of
// interest if something refers to it: segments go when all in them is dead.
func (k *tileCheck) absent(from, to int64) {
	if from < to {
		k.collect(damagedRange{file: segmentPath(k.t.lane, from), from: from, to: to, reason: fs.ErrNotExist, unreadable: true})
	}
}

// collect finds out what was in a piece that cannot be read.
func (k *tileCheck) collect(d damagedRange) {
	until := k.loc(d.to)
	k.entriesBefore(until, func(e *delayindex.Entry) {
		if !k.l.c.done(e) {
			d.sum.entry(e)
		}
	})
	k.failed = errors.Join(k.failed, k.refs.before(until, func(r *ref) {
		if k.l.c.visible(r) {
			d.sum.ref(r)
		}
	}))
	k.damage = append(k.damage, d)
	k.keys.unseen(d.from, d.to)
}

// reportDamage reports the pieces that could not be read.
func (k *tileCheck) reportDamage() {
	if k.again {
		return
	}
	for _, d := range k.damage {
		nothing := d.sum.pending == 0 && d.sum.visible == 0
		if d.given && d.sum.pending == 0 || d.unreadable && (nothing || !k.missed(d.from)) {
			continue
		}
		check, unit := "frame", "frame"
		if isCold(k.t.lane) {
			check, unit = "cold", "block"
		}
		what := fmt.Sprintf("%d bytes hold no valid %s: %v", d.to-d.from, unit, d.reason)
		if d.unreadable {
			what = "index or queues refer to a segment that is not there"
		}
		k.l.c.find(finding{
			severity: severityLost, check: check, file: d.file, offset: d.offset, what: what, lost: d.sum.String(k.l.c.names),
			next: "put the file back from a copy, or: " + k.l.c.repairHint(),
		})
	}
}

// missed tells whether a place without a file should have one: it is in a segment
// that the store still has. All others went when everything in them was dead.
func (k *tileCheck) missed(off int64) bool {
	for _, info := range segmentsOf(k.l.c.m, k.t.lane) {
		if info.Base <= off && off < info.End {
			return k.l.c.hasSegment(k.t.lane, info.Base)
		}
	}
	return false
}

// gaveBack tells whether the store gave some of a part of a lane back.
func (c *check) gaveBack(lane uint8, from, to int64) bool {
	r := commitlog.Range{From: from, To: to}
	return commitlog.OverlapsRange(givenBackOf(c.m, lane), r) || commitlog.OverlapsRange(givenBackOf(c.latest(), lane), r)
}

// done tells whether an entry has fired by the mark of this moment, or has moved.
func (c *check) done(e *delayindex.Entry) bool {
	return c.m.Covers(e) || c.moved(e) || c.latest().Covers(e)
}

// moved tells whether the message of an entry lives in a cold file now.
func (c *check) moved(e *delayindex.Entry) bool {
	loc := commitlog.Loc(e.Loc)
	if loc.Lane() != store.FarLane {
		return false // the MANIFEST of this moment need not be read
	}
	return c.m.Moved(e.FireMs(), loc) || c.latest().Moved(e.FireMs(), loc)
}

// visible tells whether consumers can still ask for what r stands for.
func (c *check) visible(r *ref) bool {
	low, ok := c.queueMin(r.queue)
	return ok && r.slot >= low
}

// entriesBefore hands out the run's entries below loc.
func (k *tileCheck) entriesBefore(loc commitlog.Loc, visit func(*delayindex.Entry)) {
	for len(k.entries) > 0 && k.entries[0].Loc < uint64(loc) {
		visit(&k.entries[0])
		k.entries = k.entries[1:]
	}
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

// loc is a place in the tile's lane.
func (k *tileCheck) loc(off int64) commitlog.Loc { return commitlog.MakeLoc(k.t.lane, off) }
