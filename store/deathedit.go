package store

import (
	"encoding/binary"
	"errors"
	"math"
	"slices"

	"github.com/duelog/duelog/commitlog"
)

// How deaths come into the MANIFEST. The catalog's state holds the same deaths that the
// lane works with: an operation that is applied finds that they know it already, and
// a rewritten MANIFEST has them as they are now, which is as true.

// maxUnits bounds what an operation can make us allocate: 64 GiB of segment.
const maxUnits = 1 << 20

var errUnits = errors.New("malformed units")

// appendUnits appends each unit as two signed varints, which say by how much its two
// times are later than those of the unit before it: some 4 bytes.
func appendUnits(dst []byte, us []unit) []byte {
	var last unit
	for _, u := range us {
		dst = binary.AppendVarint(dst, int64(u.fireSec)-int64(last.fireSec))
		dst = binary.AppendVarint(dst, int64(u.storeSec)-int64(last.storeSec))
		last = u
	}
	return dst
}

func parseUnits(b []byte) (us []unit, err error) {
	var last unit
	for len(b) > 0 {
		for _, field := range []*uint32{&last.fireSec, &last.storeSec} {
			more, n := binary.Varint(b)
			v := int64(*field) + more
			if n <= 0 || more > math.MaxUint32 || more < -math.MaxUint32 || v < 0 || v > math.MaxUint32 {
				return nil, errUnits
			}
			*field, b = uint32(v), b[n:]
		}
		us = append(us, last)
	}
	return us, nil
}

// register takes what the MANIFEST says of the units of a segment from number first on.
func (d *deaths) register(base int64, first uint32, us []unit) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.segment(base)
	if int(first) > len(s.units) || int(first)+len(us) > maxUnits {
		return errUnits
	}
	s.kept = true
	s.units = append(s.units, make([]unit, max(0, int(first)+len(us)-len(s.units)))...)
	for i, u := range us {
		s.units[int(first)+i].raise(u)
	}
	return nil
}

// snapshot adds all units of a segment to an edit.
func (d *deaths) snapshot(e *edit, lane uint8, base int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.segments[base]; s != nil && s.kept {
		e.units(lane, base, 0, s.units)
	}
}

// unitsGap is how many units that the MANIFEST knows are rather written again than
// that another operation begins.
const unitsGap = 4

// changed adds the units that the MANIFEST does not have to an edit. They count as being
// on their way until registered is called; what changes meanwhile is not among them.
func (d *deaths) changed(e *edit, lane uint8, base int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.segments[base]
	if s == nil || !s.kept {
		return
	}
	s.registering = append(s.registering, s.dirty...)
	slices.Sort(s.registering)
	s.registering = slices.Compact(s.registering)
	s.dirty = nil
	for rest := s.registering; len(rest) > 0; {
		n := 1
		for n < len(rest) && rest[n]-rest[n-1] <= unitsGap {
			n++
		}
		e.units(lane, base, uint32(rest[0]), s.units[rest[0]:rest[n-1]+1])
		rest = rest[n:]
	}
}

// registered ends what changed began: the MANIFEST has it durably.
func (d *deaths) registered() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, s := range d.segments {
		s.registering = nil
	}
}

// addDeaths adds to e what the MANIFEST does not know of when units die; if that is much,
// for a long backlog has fired late, all but the end of it is committed at once, which is right
// whatever comes of e. It is called with checkpointMu held, when the mark that e has was taken.
func (s *Store) addDeaths(e *edit) error {
	const editBytes = 1 << 20
	var own edit
	for _, l := range s.lanes {
		for _, base := range l.deaths.bases() {
			l.deaths.changed(&own, l.id, base)
			if len(own) < editBytes {
				continue
			}
			if err := s.catalog.commit(own); err != nil {
				return err
			}
			own = nil
		}
	}
	*e = append(*e, own...)
	return nil
}

// deathsKept is called when the edit is durable that addDeaths added to.
func (s *Store) deathsKept() {
	for _, l := range s.lanes {
		l.deaths.registered()
	}
}

// noteDeaths takes over a frame that recovery visits, as Committed does a new one.
func (l *lane) noteDeaths(f *commitlog.Frame) {
	var dies unit
	for it := range f.Items() {
		dies.raise(deathOf(&it, f.StoreMs))
	}
	if dies != (unit{}) {
		l.deaths.note(f.Loc.Offset(), f.End, dies)
	}
}

// deathOf is what a message makes of its unit.
func deathOf(it *commitlog.Item, storeMs int64) unit {
	if it.Flags&commitlog.FlagScheduled != 0 {
		return unit{fireSec: ceilSec(it.When)}
	}
	return unit{storeSec: ceilSec(storeMs)}
}
