package store

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// Cancelling
//
// A cancelled message stays where it is, in the log and in the delay index. That it
// must not fire stands in the cancel log (cancellog.go), whose live part is in memory:
// the table of this file, which the dispatcher asks about what it is about to
// fire. Nothing is searched or rewritten, whatever is due in the same millisecond.
//
// Invariant: Cancel returned nil => the message never becomes visible;
// ErrTooLate => it was or will be visible. Both hold over a crash at any moment.
//
//   - The dispatcher and Cancel meet under cancels.mu. What was taken for firing has a
//     fire time up to takenMs, so Cancel says ErrTooLate for all of these and writes
//     nothing. What it does not, is in the table before the dispatcher can take it.
//   - An entry is dropped only when its cancellation is durable. So the mark, which
//     then passes the entry, never says "done" of a message that a crash has brought
//     back. With commitlog.Async the cancel log is synced before a mark is kept.
//   - A message that is taken while its cancellation is being written fires. The
//     record that is too late is revoked by another one, durably, before the
//     answer: else a crash before the journal batch would let the cancellation win.
//   - Recovery reads the whole cancel log before anything fires.

// maxCancelled bounds the table: some 60 MB.
const maxCancelled = 1 << 20

const hourMs = 3600_000

// cancels is the table of what was cancelled and is not yet forgotten.
type cancels struct {
	// writes is held for reading while a cancellation is written, and for writing by
	// whoever must not meet one: the compaction of the cancel log, a move of messages.
	writes sync.RWMutex

	total atomic.Int64 // since the store was opened

	mu      sync.Mutex // guards what follows; inside of near.mu and writes
	byLoc   map[commitlog.Loc]cancellation
	byHour  map[int64][]commitlog.Loc // the same by the hour of their fire time; some may be gone
	takenMs int64                     // latest fire time that was taken for firing
}

type cancellation struct {
	fireMs int64
	wait   *settling // nil: cancelled, durably
	ended  bool      // it is not in the delay index any more, although its time has not come
}

// settling is a cancellation that is being written.
type settling struct {
	done chan struct{} // closed when it is known how it ended
	late bool          // the message was taken for firing meanwhile
}

func newCancels() *cancels {
	return &cancels{byLoc: map[commitlog.Loc]cancellation{}, byHour: map[int64][]commitlog.Loc{}}
}

// Cancel keeps the pending message at loc, which must be the location of one, from
// ever becoming visible. It returns when that is durable by the flush policy; nil
// also for a message that was cancelled before. ErrTooLate says that the message
// is, or is about to be, visible; ErrNotFound that there is none, that it is past its
// retention, or that it was moved: look it up again. ErrTooMany when more are cancelled than can be kept in memory.
func (s *Store) Cancel(loc commitlog.Loc) error {
	if err := s.refusing(); err != nil {
		return err
	}
	for {
		s.cancels.writes.RLock()
		wait, err := s.cancel(loc)
		s.cancels.writes.RUnlock()
		if wait == nil {
			return err
		}
		<-wait.done // somebody else is cancelling it: see how that ended
	}
}

func (s *Store) cancel(loc commitlog.Loc) (wait *settling, err error) {
	it, err := s.recordHeader(loc)
	switch {
	case err != nil:
		return nil, err
	case !it.Scheduled():
		return nil, ErrTooLate
	}
	mine, wait, err := s.cancels.begin(loc, it.When)
	if errors.Is(err, ErrTooLate) && it.When < s.forgottenMs()/hourMs*hourMs {
		return nil, ErrNotFound // its bytes are still there, but nobody knows whether it was cancelled
	}
	if mine == nil {
		return wait, err
	}
	err = s.writeCancel(&it, loc, cancelled)
	late := s.cancels.settle(loc, mine, err)
	switch {
	case err != nil:
		return nil, fmt.Errorf("cancel message: %w", err)
	case late:
		if err := s.writeCancel(&it, loc, revoked); err != nil {
			return nil, fmt.Errorf("revoke a late cancellation: %w", err)
		}
		return nil, ErrTooLate
	}
	s.pending.Add(-1)
	s.cancels.total.Add(1)
	return nil, nil
}

// forgottenMs is the time before which cancellations are forgotten, by whole hours.
func (s *Store) forgottenMs() int64 {
	return min(s.mark().firedMs, s.clock.NowMs()-s.opts.ScheduledRetention.Milliseconds())
}

// begin enters a cancellation that is about to be written. mine is nil when there
// is nothing to write: because of err, because it is cancelled already, or because
// of another one to wait for.
func (c *cancels) begin(loc commitlog.Loc, fireMs int64) (mine, wait *settling, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.byLoc[loc]; ok {
		return nil, known.wait, nil
	}
	if fireMs <= c.takenMs {
		return nil, nil, ErrTooLate
	}
	if len(c.byLoc) >= maxCancelled {
		return nil, nil, ErrTooMany
	}
	mine = &settling{done: make(chan struct{})}
	c.byLoc[loc] = cancellation{fireMs: fireMs, wait: mine}
	return mine, nil, nil
}

// settle notes how the writing ended and reports whether it was too late.
func (c *cancels) settle(loc commitlog.Loc, mine *settling, err error) (late bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer close(mine.done)
	if err != nil || mine.late {
		delete(c.byLoc, loc)
		return mine.late
	}
	fireMs := c.byLoc[loc].fireMs
	delete(c.byLoc, loc)
	c.addLocked(loc, fireMs)
	return false
}

// addLocked enters a durable cancellation.
func (c *cancels) addLocked(loc commitlog.Loc, fireMs int64) {
	if _, known := c.byLoc[loc]; known {
		return
	}
	c.byLoc[loc] = cancellation{fireMs: fireMs}
	c.byHour[fireMs/hourMs] = append(c.byHour[fireMs/hourMs], loc)
}

// sift takes what is cancelled out of a batch that is about to fire. From here on
// nothing of the batch can be cancelled any more.
func (c *cancels) sift(batch []delayindex.Entry) []delayindex.Entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range batch {
		c.takenMs = max(c.takenMs, batch[i].FireMs())
	}
	if len(c.byLoc) == 0 {
		return batch
	}
	kept := batch[:0]
	for i := range batch {
		if c.dropLocked(commitlog.Loc(batch[i].Loc)) {
			continue
		}
		kept = append(kept, batch[i])
	}
	return kept
}

func (c *cancels) dropLocked(loc commitlog.Loc) bool {
	known, ok := c.byLoc[loc]
	if ok && known.wait != nil {
		known.wait.late = true
	}
	return ok && known.wait == nil
}

// has reports whether the message at loc is cancelled, durably.
func (c *cancels) has(loc commitlog.Loc) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	known, ok := c.byLoc[loc]
	return ok && known.wait == nil
}

// taken says at start that everything up to ms may have fired.
func (c *cancels) taken(ms int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.takenMs = max(c.takenMs, ms)
}

// forget drops those that were due before ms, by whole hours, and returns how many
// are left.
func (c *cancels) forget(ms int64) (left int) {
	for _, hour := range c.hours() {
		if (hour+1)*hourMs > ms {
			continue
		}
		c.mu.Lock()
		for _, loc := range c.byHour[hour] {
			delete(c.byLoc, loc)
		}
		delete(c.byHour, hour)
		c.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.byLoc)
}

// hours lists those in which something is cancelled, so that a walk over all of it
// can let the dispatcher in between.
func (c *cancels) hours() []int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.Collect(maps.Keys(c.byHour))
}

// inHour returns what is cancelled in an hour.
func (c *cancels) inHour(hour int64) (locs []commitlog.Loc, fireMs []int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, loc := range c.byHour[hour] {
		if known, ok := c.byLoc[loc]; ok && known.wait == nil {
			locs, fireMs = append(locs, loc), append(fireMs, known.fireMs)
		}
	}
	return locs, fireMs
}

// from returns the fire times of those in the delay index that are due at ms or later.
func (c *cancels) from(ms int64) (fireMs []int64) {
	for _, hour := range c.hours() {
		if (hour+1)*hourMs > ms {
			fireMs = c.inIndex(hour, ms, fireMs)
		}
	}
	return fireMs
}

func (c *cancels) inIndex(hour, ms int64, fireMs []int64) []int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, loc := range c.byHour[hour] {
		if known, ok := c.byLoc[loc]; ok && known.wait == nil && !known.ended && known.fireMs >= ms {
			fireMs = append(fireMs, known.fireMs)
		}
	}
	return fireMs
}
