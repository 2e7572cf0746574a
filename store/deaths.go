package store

import (
	"maps"
	"slices"
	"sync"

	"github.com/duelog/duelog/commitlog"
)

// unit is what is known of commitlog.GiveBackUnit bytes of a lane: the latest fire
// time of the scheduled messages and the latest store time of the others that have a
// byte in it, in seconds since 1970, rounded up; 0 = it has none.
type unit struct{ fireSec, storeSec uint32 }

// raise takes over what is later in o, and tells whether something is.
func (u *unit) raise(o unit) bool {
	old := *u
	u.fireSec, u.storeSec = max(u.fireSec, o.fireSec), max(u.storeSec, o.storeSec)
	return *u != old
}

// ceilSec rounds up, so that nothing dies before its time.
func ceilSec(ms int64) uint32 { return uint32((ms + 999) / 1000) }

// deaths says of the segments of a lane when each unit of theirs dies, at 8 bytes of
// memory per 64 KiB. The MANIFEST keeps it (opUnits), and the argument is this:
//
//   - A unit is only ever raised, by what is durable in the lane or in the journal. So
//     what the MANIFEST has of it may be later than the truth, which costs space for a
//     while, and must not be earlier.
//   - Whatever was noted of a message before the index had it is registered before the
//     edit that moves indexedUpTo beyond it. Recovery scans from there on, and notes
//     what it visits.
//   - That a message fired late is registered before the mark that covers it, and so
//     before the replay point that lets recovery pass over its firing.
//
// The MANIFEST has a segment from the moment that it was made, or not at all: then an
// older release made it, or it was adopted, and it dies as one. Safe for concurrent use.
type deaths struct {
	segmentSize int64

	mu       sync.Mutex
	segments map[int64]*segmentDeaths // by base; guarded by mu
}

type segmentDeaths struct {
	units []unit
	// kept is set if the MANIFEST knows of the segment.
	kept bool
	// dirty are the numbers of units that the MANIFEST has not as they are; those in
	// registering are on their way there. Both may name one twice.
	dirty, registering []int
	// quietMs is when the next unit may die, as of the last look; 0: look again.
	quietMs int64
}

func newDeaths() *deaths { return &deaths{segments: map[int64]*segmentDeaths{}} }

// segment is called with mu held.
func (d *deaths) segment(base int64) *segmentDeaths {
	s := d.segments[base]
	if s == nil {
		s = &segmentDeaths{}
		d.segments[base] = s
	}
	return s
}

// raise is unit.raise for unit i.
func (s *segmentDeaths) raise(i int, of unit) {
	for len(s.units) <= i { // the MANIFEST gets those in between too
		s.soil(len(s.units))
		s.units = append(s.units, unit{})
	}
	if s.units[i].raise(of) {
		s.quietMs = 0
		s.soil(i)
	}
}

// soil notes that unit i has changed.
func (s *segmentDeaths) soil(i int) {
	if n := len(s.dirty); s.kept && (n == 0 || s.dirty[n-1] != i) {
		s.dirty = append(s.dirty, i)
	}
}

// note counts the messages of a frame, whose bytes are [start, end).
func (d *deaths) note(start, end int64, of unit) {
	d.mu.Lock()
	defer d.mu.Unlock()
	base := start - start%d.segmentSize
	s := d.segment(base)
	for i := start - base; i < end-base; i += commitlog.GiveBackUnit - i%commitlog.GiveBackUnit {
		s.raise(int(i/commitlog.GiveBackUnit), of)
	}
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

// found agrees with the segments that are there after recovery has scanned them. Those
// of which the MANIFEST did not know the units die as one.
func (d *deaths) found(infos []commitlog.SegmentInfo, given []commitlog.Range) {
	there := map[int64]bool{}
	for i := range infos {
		info := &infos[i]
		there[info.Base] = true
		if s := d.segments[info.Base]; (s == nil || !s.kept) && info.End > info.Base {
			d.note(info.Base, info.End, unit{ceilSec(info.MaxFireMs), ceilSec(info.MaxStoreMs)})
		}
	}
	d.mu.Lock()
	maps.DeleteFunc(d.segments, func(base int64, _ *segmentDeaths) bool { return !there[base] })
	d.mu.Unlock()
	for _, r := range given {
		d.gone(r)
	}
}

// keepFor makes a message with bytes [start, end) count as fired no earlier than fireMs.
func (d *deaths) keepFor(start, end, fireMs int64) {
	d.mu.Lock()
	known := d.segments[start-start%d.segmentSize] != nil
	d.mu.Unlock()
	if known { // else it is gone
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
	at := base
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
	base := r.From - r.From%d.segmentSize
	s := d.segments[base]
	if s == nil {
		return
	}
	to := min(int((r.To-base)/commitlog.GiveBackUnit), len(s.units))
	for i := int((r.From - base) / commitlog.GiveBackUnit); i < to; i++ {
		s.units[i] = unit{}
	}
}

// bases lists the segments that the MANIFEST knows of.
func (d *deaths) bases() []int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	var out []int64
	for base, s := range d.segments {
		if s.kept {
			out = append(out, base)
		}
	}
	slices.Sort(out)
	return out
}
