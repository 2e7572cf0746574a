package store

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// ManualClock is a clock that stands until it is moved. A store that is given one
// (Options.Clock) lives through years in seconds: simulations and an embedder's tests
// move it with Advance, let the store catch up with Settle, and do with Maintain what
// the store otherwise does in the background at its times. It serves one store.
type ManualClock struct {
	mu    sync.Mutex
	moved sync.Cond
	nowMs int64
	woken bool
}

// manualHorizon is how far ahead the near wheel of such a store is loaded: the clock
// leaps, and each step of the loader reads from every run.
const manualHorizon = time.Hour

// NewManualClock returns a clock that stands at now, in whole milliseconds.
func NewManualClock(now time.Time) *ManualClock {
	c := &ManualClock{nowMs: now.UnixMilli()}
	c.moved.L = &c.mu
	return c
}

// Advance moves the clock to a time, which is not before the one that it shows.
func (c *ManualClock) Advance(to time.Time) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.nowMs = max(c.nowMs, to.UnixMilli())
	c.woken = true // the mark moves with the clock
	c.moved.Broadcast()
}

// NowMs implements clock.
func (c *ManualClock) NowMs() int64 {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.nowMs
}

func (c *ManualClock) waitUntil(ms int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for c.nowMs < ms && !c.woken {
		c.moved.Wait()
	}
	c.woken = false
}

func (c *ManualClock) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.woken = true
	c.moved.Broadcast()
}

func (c *ManualClock) start() error { return nil }
func (c *ManualClock) stop()        {}
func (c *ManualClock) close()       {}

// Settle waits until everything that was due when it was called is visible.
func (s *Store) Settle(ctx context.Context) error {
	now := s.clock.NowMs()
	for s.mark().firedMs < now {
		switch {
		case s.closed.Load():
			return ErrClosed
		case s.Err() != nil:
			return s.Err()
		case ctx.Err() != nil:
			return fmt.Errorf("wait for due messages: %w", ctx.Err())
		}
		time.Sleep(50 * time.Microsecond)
	}
	return nil
}

// Maintain does at once what is otherwise done in the background at its times: old
// segments are sealed, old memtables flushed, a checkpoint is written, far-future
// messages are compacted, and retention makes a pass.
func (s *Store) Maintain(context.Context) error {
	if s.closed.Load() {
		return ErrClosed
	}
	if err := s.saveAll(); err != nil {
		return err
	}
	if err := s.compactor.run(true); err != nil {
		return err
	}
	s.keepMu.Lock()
	defer s.keepMu.Unlock()
	return s.retain()
}

// saveAll brings what is old enough to where recovery need not look for it.
func (s *Store) saveAll() error {
	s.keepMu.Lock()
	defer s.keepMu.Unlock()
	s.rollOldSegments()
	s.freezeOldMemtables()
	if err := s.flushIndexes(); err != nil {
		return err
	}
	return s.checkpoint()
}
