package bench

import (
	"context"
	"fmt"
	"time"
)

// Recover measures a crash: the system is killed with N messages pending and
// started again. What was acknowledged must be there, and some that are due soon
// after must come, unaltered and not early. Those that come twice are counted, but
// do not fail the run: after a crash no system here promises more than at least
// once.
type Recover struct {
	Flow
	N    int64 // messages; default 200,000
	Body int   // bytes; default 1024
	Mix  Mix   // default MixEveryday
}

// Name implements Workload.
func (w *Recover) Name() string { return "recover" }

func (w *Recover) params() map[string]any {
	p := map[string]any{"n": w.N, "body": w.Body, "mix": string(w.Mix)}
	w.addTo(p)
	return p
}

func (w *Recover) size() int { return w.Body }

func (w *Recover) messages() int64 { return w.N }

func (w *Recover) check() error {
	w.setDefaults()
	w.Rate = 0
	if w.Mix == "" {
		w.Mix = MixEveryday
	}
	return sane(&w.N, 200_000, &w.Body, w.Mix)
}

const (
	soonMessages = 1000
	soonAfter    = 2 * time.Second // some are due while the system is down, or after
)

func (w *Recover) run(ctx context.Context, s *stage) error {
	if err := s.up(ctx); err != nil {
		return err
	}
	if err := s.warmUp(ctx, w.Flow, w.Body); err != nil {
		return err
	}
	m := s.meter()
	before := m.read()
	far := s.ledger(w.N, w.Body)
	if _, err := s.publish(ctx, load{Flow: w.Flow, phase: "publish", book: far, due: w.Mix.due()}); err != nil {
		return err
	}
	if err := far.check(false); err != nil {
		return err
	}
	soon := s.ledger(soonMessages, w.Body)
	first := time.Now().Add(soonAfter).Truncate(time.Millisecond)
	if _, err := s.publish(ctx, load{Flow: w.Flow, phase: "publish", book: soon, due: spread(first, time.Second, soonMessages)}); err != nil {
		return err
	}
	iv := m.since(before)
	pendingRSS := m.read().system
	accepts, acked, err := s.crash(ctx, w.Body)
	if err != nil {
		return err
	}
	s.addRestartCPU()
	if err := s.subscribe(ctx); err != nil {
		return err
	}
	if err := s.awaitDelivery(ctx, soon, first.Add(time.Second)); err != nil {
		return err
	}
	if err := s.afterCrash(s.verdict(ctx, soon)); err != nil {
		return err
	}
	if err := s.checkPending(ctx, far); err != nil {
		return err
	}
	iv.addTo(&s.result, w.N+soonMessages)
	r := &s.result
	r.Metrics["restart_ms"], r.Metrics["accept_ms"] = ms(acked), ms(accepts)
	r.Metrics["rss_bytes"] = float64(pendingRSS.RSS)
	r.Metrics["rss_restarted_bytes"] = float64(s.meter().read().system.RSS)
	return w.addLimit(ctx, s)
}

// afterCrash takes duplicates out of a verdict and notes them in the result.
func (s *stage) afterCrash(err error) error {
	bad, ok := err.(*VerdictError)
	if !ok {
		return err
	}
	s.again = bad.Duplicates
	bad.Duplicates = 0
	if bad.Verdict == (Verdict{}) {
		return nil
	}
	return bad
}

// addRestartCPU notes the CPU time of the processes that have just started.
func (s *stage) addRestartCPU() {
	if m := s.meter(); m.place == Children {
		if now := m.read(); now.ok {
			s.result.Metrics["restart_cpu_ms"] = ms(now.system.CPU)
		}
	}
}

// crash kills and restarts the system; it returns how long it took until it
// accepted connections, and until it acknowledged a message.
func (s *stage) crash(ctx context.Context, size int) (accepts, acked time.Duration, err error) {
	s.progress("kill", 0, 0)
	if err := s.sys.Kill9(); err != nil {
		return 0, 0, fmt.Errorf("kill: %w", err)
	}
	s.unsubscribe()
	return s.restart(ctx, size)
}

// restart starts the system again and fetches the message that tried it.
func (s *stage) restart(ctx context.Context, size int) (accepts, acked time.Duration, err error) {
	s.progress("restart", 0, 0)
	start := time.Now()
	if err := s.sys.Restart(ctx); err != nil {
		return 0, 0, fmt.Errorf("restart: %w", err)
	}
	accepts = time.Since(start)
	one, book := Flow{Publishers: 1, Window: 1, Batch: 1}, s.ledger(1, size)
	if _, err := s.publish(ctx, load{Flow: one, phase: "restart", book: book}); err != nil {
		return 0, 0, err
	}
	acked = time.Since(start)
	if err := s.subscribe(ctx); err != nil {
		return 0, 0, err
	}
	defer s.unsubscribe()
	return accepts, acked, s.awaitDelivery(ctx, book, time.Now())
}

// addLimit compares with the same kill and start of a system that holds nothing.
func (w *Recover) addLimit(ctx context.Context, s *stage) error {
	if err := s.up(ctx); err != nil {
		return err
	}
	_, empty, err := s.crash(ctx, w.Body)
	if err != nil {
		return fmt.Errorf("restart while empty: %w", err)
	}
	s.result.Metrics["empty_restart_ms"] = ms(empty)
	s.result.limited(ms(empty), s.result.Metrics["restart_ms"], "empty restart")
	return nil
}
