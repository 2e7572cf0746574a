package store

import (
	"errors"
	"fmt"
	"slices"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// Cancellations are known by location, so a message that moves must not leave its
// cancellation behind. What is cancelled when evacuation comes to it does not move:
// it ends there. What is cancelled between that moment and the commit of the move
// has been written to the cold file already. Under cancels.writes, where no
// cancellation is under way, a second one for its new location is made durable before
// the commit, and both are exchanged in the step in which the indexes change.
//
// A crash or an error between the second one and the commit leaves a cancellation
// of a location that is nobody's yet, and might become another message's with the next
// attempt. It is revoked durably before there is one.

// movedCancel is a cancelled message that has a new location.
type movedCancel struct {
	from, to commitlog.Loc
	fireMs   int64
}

// lateCancels finds what was cancelled after it was written to the cold file. It is
// called with cancels.writes held.
func (ev *evacuation) lateCancels() []movedCancel {
	late := map[uint32]int64{} // fire times, by offset in the segment
	for _, hour := range ev.s.cancels.hours() {
		if (hour+1)*hourMs <= ev.cutMs {
			continue
		}
		locs, fireMs := ev.s.cancels.inHour(hour)
		for i, loc := range locs {
			if off := loc.Offset(); loc.Lane() == farLane && off >= ev.seg.Base && off < ev.end && fireMs[i] >= ev.cutMs {
				late[uint32(off-ev.seg.Base)] = fireMs[i]
			}
		}
	}
	if len(late) == 0 {
		return nil
	}
	var out []movedCancel
	for i, at := range ev.oldAt {
		if fireMs, ok := late[at]; ok {
			out = append(out, movedCancel{
				from:   commitlog.MakeLoc(farLane, ev.seg.Base+int64(at)),
				to:     commitlog.MakeLoc(coldLane, ev.seg.Base+int64(ev.newAt[i])),
				fireMs: fireMs,
			})
		}
	}
	return out
}

// noteMoved remembers where a message went.
func (ev *evacuation) noteMoved(from commitlog.Loc, to int64) {
	ev.oldAt = append(ev.oldAt, uint32(from.Offset()-ev.seg.Base))
	ev.newAt = append(ev.newAt, uint32(to-ev.seg.Base))
}

// writeMoved writes a record of the cancel log about each new location, durably.
func (s *Store) writeMoved(moved []movedCancel, kind uint8) error {
	if len(moved) == 0 {
		return nil
	}
	w := newCancelWait(len(moved))
	for _, m := range moved {
		if err := s.appendCancel(m.fireMs, 0, 0, m.to, kind, w); err != nil {
			return fmt.Errorf("cancel moved message: %w", err)
		}
	}
	for range moved {
		if err := <-w; err != nil {
			return fmt.Errorf("cancel moved message: %w", err)
		}
	}
	return s.syncAsync()
}

// revokeMoved takes back what writeMoved wrote for a move that did not happen. If
// that fails the segment is left alone until the next start.
func (ev *evacuation) revokeMoved(moved []movedCancel) error {
	err := ev.s.writeMoved(moved, revoked)
	if err != nil {
		ev.s.compactor.skip[ev.seg.Base] = true
	}
	return err
}

// relocate exchanges cancellations for those of the new locations and forgets those
// of messages that ended.
func (c *cancels) relocate(moved []movedCancel, ended []commitlog.Loc) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, m := range moved {
		delete(c.byLoc, m.from)
		c.addLocked(m.to, m.fireMs)
	}
	for _, loc := range ended {
		delete(c.byLoc, loc)
	}
}

// ended tells whether a message of the far lane that is not done has left the delay index:
// evacuation of its segment ended it, and a crash came before the segment was removed.
func (r *recovery) ended(e *delayindex.Entry) bool {
	off := commitlog.Loc(e.Loc).Offset()
	index := r.s.lanes[farLane].index
	return e.FireMs() > r.mark.reached() && off < index.IndexedUpTo() && !slices.ContainsFunc(index.Runs(), func(ri delayindex.RunInfo) bool {
		return ri.Start <= off && off < ri.End
	})
}

// settleCancels drops the cancellations of locations where no message is any more,
// or not yet: see the top of this file. Where another message may come they are revoked.
func (r *recovery) settleCancels() error {
	s := r.s
	far := s.lanes[farLane]
	segments := map[int64]bool{}
	for _, info := range far.log.Segments() {
		segments[info.Base] = true
	}
	var stale []movedCancel
	for loc, c := range s.cancels.byLoc {
		base := far.segmentBase(loc.Offset())
		switch lane := loc.Lane(); {
		case r.isLost(loc, loc.Offset()):
			delete(s.cancels.byLoc, loc)
			stale = append(stale, movedCancel{to: loc, fireMs: c.fireMs})
		case lane == farLane:
			e := delayindex.Entry{When: delayindex.MakeWhen(c.fireMs, 0), Loc: uint64(loc)}
			if !segments[base] || r.moved(&e) {
				delete(s.cancels.byLoc, loc)
			} else if c.ended = r.ended(&e); c.ended {
				s.cancels.byLoc[loc] = c
			}
		case lane == coldLane:
			if _, ok := r.st.cold[base]; !ok {
				delete(s.cancels.byLoc, loc)
				stale = append(stale, movedCancel{to: loc, fireMs: c.fireMs})
			}
		}
	}
	err := s.writeMoved(stale, revoked)
	if errors.Is(err, ErrDiskFull) {
		for _, m := range stale {
			s.compactor.skip[far.segmentBase(m.to.Offset())] = true
		}
		return nil
	}
	return err
}
