package store

import (
	"errors"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// Lookup calls visit with the locations of messages that were put with this hash
// among their Keys, pending ones and fired ones: lane after lane, and of each lane
// the newest first, until visit returns false for the lane. It is called without any
// lock, so it may read the message.
//
// Hashes collide, and retention or compaction may take a message away meanwhile. So
// the caller reads the message, compares the key itself, and passes over those that
// ReadAt does not find. A message that has been moved by then is found by another Lookup.
//
// A message whose Put was acknowledged before is found, except for those of before
// the key index was switched on. Damage to the index is passed over and returned as
// a *keyindex.CorruptionError at the end. ErrNoKeys without a key index.
func (s *Store) Lookup(hash uint64, visit func(loc commitlog.Loc) (older bool)) error {
	if s.closed.Load() {
		return ErrClosed
	}
	if s.opts.Keys == nil {
		return ErrNoKeys
	}
	var errs []error
	for _, l := range s.keyLanes() {
		errs = append(errs, keysError(l, l.keys.Find(hash, func(loc uint64) bool {
			return visit(commitlog.Loc(loc))
		})))
	}
	return errors.Join(errs...)
}

// State says where in its life a stored message is.
type State struct {
	Queue *Queue // nil when its topic was deleted
	// FireMs is when it becomes, or became, visible, in ms since 1970; 0 for a message
	// that was due when it was stored.
	FireMs int64
	// Pending is true until the message is visible. It may be so for some 50 ms longer.
	Pending bool
	// Cancelled is true for a message that will never be visible.
	Cancelled bool
	// Slot is the place in Queue of a message that was due when it was stored; -1 for
	// one that was not, whose place is known by its queue only.
	Slot int64
	Size int32 // of the payload
}

// State returns the state of the message at loc, which must be the location of
// one: otherwise the answer has no meaning. ErrNotFound when it is gone.
func (s *Store) State(loc commitlog.Loc) (State, error) {
	it, err := s.recordHeader(loc)
	if err != nil {
		return State{}, err
	}
	st := State{Queue: s.registry.byID(it.Queue), Size: it.Size, Slot: it.When}
	if it.Scheduled() {
		m := s.mark()
		st.FireMs, st.Slot = it.When, -1
		st.Cancelled = s.cancels.has(loc)
		st.Pending = !st.Cancelled && !m.done(&delayindex.Entry{When: delayindex.MakeWhen(it.When, 0), Loc: uint64(loc), Queue: it.Queue})
	}
	return st, nil
}
