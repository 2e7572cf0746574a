package commitlog

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"

	"github.com/duelog/duelog/commitlog/segment"
)

// Damage is a range of lane offsets whose frames are lost.
type Damage struct{ From, To int64 }

// RecoverStats tells what Open found.
type RecoverStats struct {
	Frames  int64 // visited
	Records int64 // in them
	Bytes   int64 // of them, headers included
	// TornBytes is the length of an incomplete frame at the tail, by its own header.
	// It was never acknowledged by a Sync log. 0 = the tail was clean, or not even
	// the header had reached the disk.
	TornBytes int64
	// Damaged ranges hold, or held, committed frames that cannot be read any more.
	Damaged []Damage
	// Adopted segments were on disk but not registered. They are in Segments; the
	// owner registers them. Their frames below the scan's start were counted but not
	// visited.
	Adopted []int64
	// Missing segments were registered but are not on disk. They are in Damaged too.
	Missing []int64
}

// Open opens the lane in dir. segs are the segments that the owner has registered,
// in any order. Frames at or after offset from, a frame boundary or 0, are visited
// in order before Open returns; an error of visit ends it. What it found when bytes
// are bad is told in RecoverStats and logged; it is not an error. Errors are failed
// system calls, ErrVersion (a newer format) and segment.ErrSize.
//
// Everything visited is durable when Open returns. Nothing is created on disk
// before the first append, unless Options.Reserve asks for it.
func Open(dir string, segs []SegmentInfo, from int64, visit func(Frame) error, o *Options) (*Log, RecoverStats, error) {
	l, err := newLog(dir, o)
	if err != nil {
		return nil, RecoverStats{}, fmt.Errorf("open commit log %s: %w", dir, err)
	}
	l.noteGivenBack(l.o.GivenBack)
	r := &recovery{l: l, from: from, visit: visit}
	if err := r.run(segs); err != nil {
		r.abandon()
		return nil, r.stats, fmt.Errorf("open commit log %s: %w", dir, err)
	}
	l.start()
	return l, r.stats, nil
}

// recovery is the state of Open.
type recovery struct {
	l     *Log
	from  int64
	visit func(Frame) error
	segs  []*found // ascending
	spare []int64  // files on disk that are no segments
	last  int64    // store time of the newest frame so far
	buf   []byte
	stats RecoverStats
	// rejects are where bad frames at the tail have their headers.
	rejects []int64
}

// found is a segment that is registered, on disk, or both.
type found struct {
	info SegmentInfo
	file *segment.File // nil = not on disk
}

func (r *recovery) run(segs []SegmentInfo) error {
	if err := r.collect(segs); err != nil {
		return err
	}
	for i, s := range r.segs {
		if err := r.scan(s, i == len(r.segs)-1); err != nil {
			return err
		}
	}
	return r.settle()
}

// abandon lets go of what was opened.
func (r *recovery) abandon() {
	r.l.next.close()
	r.l.chain.Close()
}

// collect opens every segment and sorts out the files that are none.
func (r *recovery) collect(segs []SegmentInfo) error {
	names, err := r.l.chain.Names()
	if err != nil {
		return err
	}
	all := make(map[int64]*found, len(segs))
	for _, info := range segs {
		if err := r.checkBase(info.Base); err != nil {
			return err
		}
		all[info.Base] = &found{info: info}
		if err := r.open(all[info.Base]); err != nil {
			return err
		}
	}
	for _, base := range names {
		if all[base] == nil {
			if err := r.consider(base, all); err != nil {
				return err
			}
		}
	}
	for _, base := range slices.Sorted(maps.Keys(all)) {
		r.segs = append(r.segs, all[base])
	}
	return nil
}

func (r *recovery) checkBase(base int64) error {
	if base < 0 || base > offsetMask-r.l.o.SegmentSize || base%r.l.o.SegmentSize != 0 {
		return fmt.Errorf("segment base %d: %w", base, segment.ErrSize)
	}
	return nil
}

// open opens a registered segment; that it is missing is told in the stats.
func (r *recovery) open(s *found) error {
	f, err := r.l.chain.Open(s.info.Base)
	if errors.Is(err, fs.ErrNotExist) {
		r.stats.Missing = append(r.stats.Missing, s.info.Base)
		return nil
	}
	if err != nil {
		return err
	}
	r.l.chain.Add(f)
	s.file = f
	return nil
}

// consider adopts an unregistered file if it begins with a valid frame: then it was
// a segment, and its registration was lost. Else it was prepared but never used.
func (r *recovery) consider(base int64, all map[int64]*found) error {
	if err := r.checkBase(base); err != nil {
		return err
	}
	f, err := r.l.chain.Open(base)
	if err != nil {
		return err
	}
	rd := r.reader(f)
	p, err := rd.probe(base, 0)
	r.buf = rd.own
	if err != nil || p.reason != nil {
		f.Release()
		r.spare = append(r.spare, base)
		return err
	}
	r.l.chain.Add(f)
	all[base] = &found{info: SegmentInfo{Base: base}, file: f}
	r.stats.Adopted = append(r.stats.Adopted, base)
	r.l.logger.Warn("adopted an unregistered segment", "path", f.Name())
	return nil
}

func (r *recovery) reader(f *segment.File) frameReader {
	return frameReader{f: f, lane: r.l.o.Lane, limit: f.Base() + f.Size(), own: r.buf}
}

// scan brings the segment's figures up to date and visits its frames from r.from on.
func (r *recovery) scan(s *found, newest bool) error {
	info := &s.info
	end := info.Base + r.l.o.SegmentSize
	info.End = min(max(info.End, info.Base), end)
	start := min(max(r.from, info.Base), info.End)
	switch {
	case s.file == nil:
		r.lost(start, end, &CorruptionError{Path: r.l.chain.Path(info.Base), Err: fs.ErrNotExist})
		info.Sealed = true
	case info.Sealed && info.End <= r.from:
		// All of it is known.
	default:
		if err := r.walk(s, start, newest && !info.Sealed); err != nil {
			return err
		}
	}
	r.last = max(r.last, info.LastStoreMs, info.MaxStoreMs)
	return nil
}

func (r *recovery) walk(s *found, start int64, growing bool) error {
	info := &s.info
	counted := info.End // frames before it are in the figures already
	if start == counted {
		r.last = max(r.last, info.LastStoreMs, info.MaxStoreMs)
	}
	w := walk{
		r: r.reader(s.file), last: r.last, growing: growing, damaged: r.lost,
		floor: max(counted, min(r.from, info.Base+r.l.o.SegmentSize)),
		visit: func(f Frame) error {
			if f.Loc.Offset() >= counted {
				info.countFrame(f)
			}
			return r.hand(f)
		},
	}
	if info.Sealed {
		w.r.limit = info.End // registered as the end, whatever became of the seal frame
	}
	at, err := w.run(start)
	r.buf, r.last, r.rejects = w.r.own, w.last, at.rejects
	if err != nil {
		return err
	}
	if growing && at.sealed { // whoever sealed it may have been killed before the sync
		if err := s.file.Sync(); err != nil {
			return err
		}
	}
	info.End = max(at.pos, counted)
	info.Sealed = !growing || at.sealed
	r.stats.TornBytes += at.torn
	return nil
}

// hand gives a frame to the owner.
func (r *recovery) hand(f Frame) error {
	if f.Loc.Offset() < r.from {
		return nil
	}
	r.stats.Frames++
	r.stats.Records += int64(f.Records)
	r.stats.Bytes += f.End - f.Loc.Offset()
	if r.visit == nil {
		return nil
	}
	return r.visit(f)
}

// lost notes a range of committed bytes that cannot be had any more, unless that is
// by the owner's will.
func (r *recovery) lost(from, to int64, reason *CorruptionError) {
	if r.l.gaveBack(from, to) {
		return
	}
	r.stats.Damaged = append(r.stats.Damaged, Damage{From: from, To: to})
	r.l.logger.Error("commit log damaged, records lost",
		"path", reason.Path, "offset", reason.Offset, "bytes", to-from, "error", reason.Err)
}

// countFrame adds a scanned frame to the figures.
func (s *SegmentInfo) countFrame(f Frame) {
	unscheduled, maxFireMs := f.raw, int64(0)
	for it := range f.Items() {
		if it.Scheduled() {
			maxFireMs = max(maxFireMs, it.When)
		} else {
			unscheduled = true
		}
	}
	s.Count(int64(f.Records), f.StoreMs, unscheduled, maxFireMs)
}
