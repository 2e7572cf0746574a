package commitlog

import (
	"cmp"
	"fmt"
	"slices"
)

// GiveBackUnit is the grain, in bytes, in which GiveBack frees space inside of a
// segment. Lane offsets that are multiples of it are unit boundaries. Part of the
// file format of the owner that registers the ranges; do not change.
const GiveBackUnit = 64 << 10

// Range is a part of a lane, from offset From up to, not including, To.
type Range struct{ From, To int64 }

// MergeRange adds r to ranges, which are ascending and do not touch each other, and
// stay so.
func MergeRange(ranges []Range, r Range) []Range {
	first, _ := slices.BinarySearchFunc(ranges, r.From, func(x Range, from int64) int { return cmp.Compare(x.To, from) })
	end := first
	for end < len(ranges) && ranges[end].From <= r.To {
		r.From, r.To = min(r.From, ranges[end].From), max(r.To, ranges[end].To)
		end++
	}
	return slices.Replace(ranges, first, end, r)
}

// overlaps tells whether a range of ascending ranges has a byte of [from, to).
func overlaps(ranges []Range, from, to int64) bool {
	i, _ := slices.BinarySearchFunc(ranges, from+1, func(x Range, from int64) int { return cmp.Compare(x.To, from) })
	return i < len(ranges) && ranges[i].From < to
}

// OverlapsRange tells whether one of ranges, which are ascending, has a byte of r.
func OverlapsRange(ranges []Range, r Range) bool { return overlaps(ranges, r.From, r.To) }

// GiveBack frees the space of ranges: whole units, each range inside of one segment
// and before the tail, in which the owner wants nothing any more. The owner has
// registered them durably and hands them to Open (Options.GivenBack) as long as the
// segment is there: such bytes are not damage but gone, ErrNotFound to View, and
// passed over by Scan and Open, with the rest of frames that reach into them. It may
// be called again for the same ranges, as after a crash that came before their
// space was freed. Ranges of segments that are gone are left out.
//
// Views that somebody still holds of the ranges turn to zeroes.
func (l *Log) GiveBack(ranges ...Range) error {
	if l.closed.Load() {
		return ErrClosed
	}
	for _, r := range ranges {
		if r.From < 0 || r.From >= r.To || (r.From|r.To)%GiveBackUnit != 0 || r.To > l.base(r.From)+l.o.SegmentSize || r.To > l.Tail() {
			return fmt.Errorf("give back [%d, %d): %w", r.From, r.To, ErrRange)
		}
	}
	l.noteGivenBack(ranges)
	for _, r := range ranges {
		if err := l.free(r); err != nil {
			return err
		}
	}
	return nil
}

func (l *Log) free(r Range) error {
	f := l.chain.Acquire(r.From)
	if f == nil {
		return nil
	}
	defer f.Release()
	return f.Free(r.From-f.Base(), r.To-r.From)
}

// base is the start of the segment that holds off.
func (l *Log) base(off int64) int64 { return off - off%l.o.SegmentSize }

// noteGivenBack replaces what readers see, who take no lock. Segments that are gone
// are left out.
func (l *Log) noteGivenBack(ranges []Range) {
	l.smu.Lock()
	defer l.smu.Unlock()
	next := make(map[int64][]Range)
	if old := l.given.Load(); old != nil {
		for base, known := range *old {
			if _, ok := l.find(base); ok {
				next[base] = slices.Clone(known)
			}
		}
	}
	for _, r := range ranges {
		next[l.base(r.From)] = MergeRange(next[l.base(r.From)], r)
	}
	l.given.Store(&next)
}

// gaveBack tells whether some of [from, to), inside of one segment, is gone.
func (l *Log) gaveBack(from, to int64) bool {
	given := l.given.Load()
	return given != nil && overlaps((*given)[l.base(from)], from, to)
}
