package store

import (
	"sync"

	"github.com/duelog/duelog/commitlog"
)

// unit is what is known of commitlog.GiveBackUnit bytes of a lane: the latest fire
// time of the scheduled messages and the latest store time of the others that have a
// byte in it, in seconds since 1970, rounded up; 0 = it has none.
type unit struct{ fireSec, storeSec uint32 }

func (u *unit) raise(o unit) {
	u.fireSec, u.storeSec = max(u.fireSec, o.fireSec), max(u.storeSec, o.storeSec)
}

// ceilSec rounds up, so that nothing dies before its time.
func ceilSec(ms int64) uint32 { return uint32((ms + 999) / 1000) }

// deaths says of the segments that this process writes when each unit of theirs dies.
// What stood in a segment when the process started is one block, which dies as a
// whole; segments that were sealed before are not here: SegmentInfo says it of them.
// It costs 8 bytes of memory per 64 KiB. Safe for concurrent use.
type deaths struct {
	segmentSize int64

	mu       sync.Mutex
	segments map[int64]*segmentDeaths // by base; guarded by mu
}

type segmentDeaths struct {
	block unit // of the units before start, which an earlier process wrote
	start int
	units []unit // from start on
	// quietMs is when the next unit may die, as of the last look; 0: look again.
	quietMs int64
}

func newDeaths(segmentSize int64) *deaths {
	return &deaths{segmentSize: segmentSize, segments: map[int64]*segmentDeaths{}}
}

// at returns the unit that counts for lane offset off. mu is held.
func (d *deaths) at(off int64) *unit {
	base := off - off%d.segmentSize
	s := d.segments[base]
	if s == nil {
		s = &segmentDeaths{}
		d.segments[base] = s
	}
	i := int((off - base) / commitlog.GiveBackUnit)
	if i < s.start {
		return &s.block
	}
	for len(s.units) <= i-s.start {
		s.units = append(s.units, unit{})
	}
	return &s.units[i-s.start]
}

// note counts the messages of a frame, whose bytes are [start, end).
func (d *deaths) note(start, end int64, of unit) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for off := start; off < end; off += commitlog.GiveBackUnit - off%commitlog.GiveBackUnit {
		d.at(off).raise(of)
	}
	d.segments[start-start%d.segmentSize].quietMs = 0
}

// quiet tells whether nothing of a segment can die before ms.
func (d *deaths) quiet(base, ms int64) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.segments[base]
	return s == nil || s.quietMs > ms
}

// setQuiet notes when the next unit of a segment dies: until then a pass need not
// look at its units, unless something is written to it.
func (d *deaths) setQuiet(base, ms int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.segments[base]; s != nil {
		s.quietMs = ms
	}
}

// found takes over a segment that is to be written on.
func (d *deaths) found(info *commitlog.SegmentInfo) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.segments[info.Base] = &segmentDeaths{
		block: unit{ceilSec(info.MaxFireMs), ceilSec(info.MaxStoreMs)},
		start: int((info.End - info.Base + commitlog.GiveBackUnit - 1) / commitlog.GiveBackUnit),
	}
}

// keepFor makes a message with bytes [start, end) count as fired no earlier than fireMs.
func (d *deaths) keepFor(start, end, fireMs int64) {
	d.mu.Lock()
	known := d.segments[start-start%d.segmentSize] != nil
	d.mu.Unlock()
	if known { // else SegmentInfo decides, which was told too
		d.note(start, end, unit{fireSec: ceilSec(fireMs)})
	}
}

// removed forgets a segment.
func (d *deaths) removed(base int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.segments, base)
}

// each visits the units of a segment that have messages.
func (d *deaths) each(base int64, visit func(u unit, r commitlog.Range)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.segments[base]
	if s == nil {
		return
	}
	at := base + int64(s.start)*commitlog.GiveBackUnit
	if s.block != (unit{}) {
		visit(s.block, commitlog.Range{From: base, To: at})
	}
	for _, u := range s.units {
		if u != (unit{}) {
			visit(u, commitlog.Range{From: at, To: at + commitlog.GiveBackUnit})
		}
		at += commitlog.GiveBackUnit
	}
}

// dead returns the units of a segment, before lane offset limit, that is says are
// dead, as ranges. Units without a message that it knows of are not asked about.
func (d *deaths) dead(base, limit int64, is func(u unit, end int64) bool) []commitlog.Range {
	var out []commitlog.Range
	d.each(base, func(u unit, r commitlog.Range) {
		if r.To <= limit && is(u, r.To) {
			out = commitlog.MergeRange(out, r)
		}
	})
	return out
}

// gone forgets the units of a range: there is nothing left to give back.
func (d *deaths) gone(r commitlog.Range) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for off := r.From; off < r.To; off += commitlog.GiveBackUnit {
		*d.at(off) = unit{}
	}
}
