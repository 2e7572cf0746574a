package bench

import (
	"context"
	"errors"
	"sync/atomic"
	"time"
)

// Mixed measures what ordinary traffic suffers from a hot second: ordinary
// messages come at a steady rate while Hot scheduled ones, published before, are
// due within one second in the middle of it. With Slow, a second group of
// consumers takes its time for each message meanwhile, which must not matter to
// the first.
type Mixed struct {
	Flow               // of the ordinary traffic; Rate defaults to 2000/s
	Hot  int64         // scheduled messages; default 100,000
	For  time.Duration // how long ordinary traffic lasts; default 10 s
	Body int           // bytes; default 1024
	// Slow is how long the slow group takes for a message; 0: there is none.
	Slow time.Duration
}

// Name implements Workload.
func (w *Mixed) Name() string { return "mixed" }

func (w *Mixed) ordinary() int64 { return int64(w.Rate * w.For.Seconds()) }

func (w *Mixed) params() map[string]any {
	p := map[string]any{"n": w.ordinary(), "hot": w.Hot, "body": w.Body, "slow_ms": w.Slow.Milliseconds()}
	w.addTo(p)
	return p
}

func (w *Mixed) size() int { return w.Body }

func (w *Mixed) messages() int64 { return w.Hot + w.ordinary() }

func (w *Mixed) check() error {
	w.setDefaults()
	if w.Rate <= 0 {
		w.Rate = 2000
	}
	if w.For <= 0 {
		w.For = 10 * time.Second
	}
	n := w.ordinary()
	return errors.Join(sane(&w.Hot, 100_000, &w.Body, MixNow), sane(&n, 1, &w.Body, MixNow))
}

func (w *Mixed) run(ctx context.Context, s *stage) error {
	if err := s.up(ctx); err != nil {
		return err
	}
	ahead := w.Flow
	ahead.Rate = 0
	lead, err := s.lead(ctx, ahead, w.Hot, w.Body, 0)
	if err != nil {
		return err
	}
	slow, err := w.subscribe(ctx, s)
	if err != nil {
		return err
	}
	defer slow.release()
	first := time.Now().Add(lead + w.For/3).Truncate(time.Millisecond)
	hot, plain := s.ledgerFrom(first, w.Hot, w.Body), s.ledgerFrom(first.Add(-w.For/3), w.ordinary(), w.Body)
	if _, err := s.publish(ctx, load{Flow: ahead, phase: "publish", book: hot, due: spread(first, time.Second, w.Hot)}); err != nil {
		return err
	}
	if err := s.rest(ctx, time.Until(first.Add(-w.For/3))); err != nil {
		return err
	}
	m := s.meter()
	before := m.read()
	if err := w.traffic(ctx, s, plain, hot, first); err != nil {
		return err
	}
	iv := m.since(before)
	slow.release()
	if err := w.verdict(ctx, s, plain, hot, slow); err != nil {
		return err
	}
	iv.addTo(&s.result, w.Hot+w.ordinary())
	s.addDelivered(hot, first)
	w.addOrdinary(s, plain)
	s.addDrainLimit(w.Body, float64(w.Hot))
	return nil
}

// subscribe opens the group that counts and, if wanted, the slow one.
func (w *Mixed) subscribe(ctx context.Context, s *stage) (*slowGroup, error) {
	slow := &slowGroup{each: w.Slow, done: make(chan struct{})}
	if w.Slow > 0 {
		g, ok := s.sys.(Grouper)
		if !ok {
			return nil, ErrUnsupported
		}
		stop, err := g.SubscribeGroup(ctx, "slow", slow.deliver)
		if err != nil {
			return nil, err
		}
		s.stops = append(s.stops, func() { slow.release(); stop() })
	}
	return slow, s.subscribe(ctx)
}

// traffic sends the ordinary messages and waits until everything came.
func (w *Mixed) traffic(ctx context.Context, s *stage, plain, hot *ledger, first time.Time) error {
	_, err := s.publish(ctx, load{Flow: w.Flow, phase: "mixed", book: plain})
	if err == nil {
		err = s.awaitDelivery(ctx, hot, first.Add(time.Second))
	}
	if err == nil {
		err = s.awaitDelivery(ctx, plain, time.Now())
	}
	return err
}

func (w *Mixed) verdict(ctx context.Context, s *stage, plain, hot *ledger, slow *slowGroup) error {
	if err := s.verdict(ctx, plain); err != nil {
		return err
	}
	if err := s.verdict(ctx, hot); err != nil {
		return err
	}
	if n := slow.altered.Load(); n > 0 {
		return &VerdictError{Verdict: Verdict{Altered: n}}
	}
	if w.Slow > 0 {
		s.result.Metrics["slow_delivered"] = float64(slow.slowly.Load())
	}
	return nil
}

// addOrdinary writes how long ordinary messages took from the intended time of
// sending to the consumer.
func (w *Mixed) addOrdinary(s *stage, plain *ledger) {
	r := &s.result
	r.Metrics["ordinary_p50_ms"] = msOf(plain.lateness.percentile(50))
	r.Metrics["ordinary_p99_ms"] = msOf(plain.lateness.percentile(99))
	r.Metrics["ordinary_max_ms"] = msOf(plain.lateness.percentile(100))
	r.addHistogram("ordinary", plain.lateness.histogram())
	r.addHistogram("ordinary_over_time", plain.arrivals.histogram())
}

// slowGroup takes each for a message, until it is released.
type slowGroup struct {
	each           time.Duration
	done           chan struct{}
	released       atomic.Bool
	count, altered atomic.Int64
	slowly         atomic.Int64 // count at the release
}

func (g *slowGroup) deliver(body []byte, _ time.Time) {
	if _, err := parseBody(body, len(body)); err != nil {
		g.altered.Add(1)
	}
	g.count.Add(1)
	t := time.NewTimer(g.each)
	defer t.Stop()
	select {
	case <-t.C:
	case <-g.done:
	}
}

// release makes it fast, so that it can be stopped.
func (g *slowGroup) release() {
	if g.released.CompareAndSwap(false, true) {
		g.slowly.Store(g.count.Load())
		close(g.done)
	}
}
