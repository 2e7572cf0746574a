package bench

import (
	"context"
	"fmt"
	"time"
)

const pollEvery = 5 * time.Millisecond

// await looks at done until it says so. It fails when count does not move for
// Options.Stall; before notBefore it may stand still.
func (s *stage) await(ctx context.Context, phase string, total int64, notBefore time.Time, done func() bool, count func() int64) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	last, moved, shown := count(), time.Now(), time.Time{}
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now, n := time.Now(), count()
		if n != last || now.Before(notBefore) {
			last, moved = n, now
		}
		if now.Sub(moved) > s.opts.Stall {
			return fmt.Errorf("%w: %s stands at %d of %d for %s", ErrStalled, phase, n, total, s.opts.Stall)
		}
		if now.Sub(shown) > 100*time.Millisecond {
			shown = now
			s.progress(phase, n, total)
		}
	}
	return nil
}

// awaitDelivery waits until everything acknowledged in l came, then a little
// longer for duplicates. What is missing at the end is a matter of check: a
// stall here is a loss, not an error of the run.
func (s *stage) awaitDelivery(ctx context.Context, l *ledger, lastDue time.Time) error {
	err := s.await(ctx, "receive", l.n, lastDue, l.complete, l.verdict.delivered.Load)
	if err != nil && !isStall(err) {
		return err
	}
	return pause(ctx, s.opts.Settle)
}

// pause waits for d, if that is positive.
func pause(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
