package bench

import (
	"context"
	"fmt"
	"time"
)

const pollEvery = 5 * time.Millisecond

// stillness measures for how long a count stood still. A look that comes late counts
// for longestLook: this process, or all of the machine, did not run meanwhile, and that
// is nobody's stall.
type stillness struct {
	last   int64
	looked time.Time
	still  time.Duration
}

const longestLook = 250 * time.Millisecond

// look returns for how long count n has stood.
func (s *stillness) look(n int64, now time.Time) time.Duration {
	if n != s.last || s.looked.IsZero() {
		s.last, s.still = n, 0
	} else {
		s.still += min(now.Sub(s.looked), longestLook)
	}
	s.looked = now
	return s.still
}

// await looks at done until it says so. It fails when count does not move for
// Options.Stall; before notBefore it may stand still.
func (s *stage) await(ctx context.Context, phase string, total int64, notBefore time.Time, done func() bool, count func() int64) error {
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	var idle stillness
	shown := time.Time{}
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		now, n := time.Now(), count()
		if now.Before(notBefore) {
			idle = stillness{}
		}
		if idle.look(n, now) > s.opts.Stall {
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

// rest waits for d and says every now and then how much of it is over.
func (s *stage) rest(ctx context.Context, d time.Duration) error {
	const step = 100 * time.Millisecond
	total := int64((d + time.Second - 1) / time.Second)
	for start := time.Now(); ; {
		over := time.Since(start)
		if over >= d {
			return ctx.Err()
		}
		s.opts.Progress(Progress{
			System: s.target.Name, Workload: s.result.Workload, Phase: "wait",
			Done: int64(over / time.Second), Total: total, Unit: "s",
		})
		if err := pause(ctx, min(d-over, step)); err != nil {
			return err
		}
	}
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
