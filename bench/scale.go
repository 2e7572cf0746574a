package bench

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Scale measures whether anything grows with the number of pending messages. It
// fills a system up to N; then, with all that pending, it restarts it and lets a
// burst fire. A curve takes a run per N.
type Scale struct {
	Flow
	N     int64 // pending messages; default 1,000,000
	Body  int   // bytes; default 128
	Mix   Mix   // default MixYear
	Burst int64 // messages that fire; default 100,000
}

// Name implements Workload.
func (w *Scale) Name() string { return "scale" }

func (w *Scale) params() map[string]any {
	p := map[string]any{"n": w.N, "body": w.Body, "mix": string(w.Mix), "burst": w.Burst}
	w.addTo(p)
	return p
}

func (w *Scale) size() int { return w.Body }

func (w *Scale) messages() int64 { return w.N + w.Burst }

func (w *Scale) check() error {
	w.setDefaults()
	w.Rate = 0
	if w.Mix == "" {
		w.Mix = MixYear
	}
	if w.Body == 0 {
		w.Body = 128
	}
	return errors.Join(sane(&w.Burst, 100_000, &w.Body, w.Mix), sane(&w.N, 1_000_000, &w.Body, w.Mix))
}

func (w *Scale) run(ctx context.Context, s *stage) error {
	if err := s.up(ctx); err != nil {
		return err
	}
	if err := s.warmUp(ctx, w.Flow, w.Body); err != nil {
		return err
	}
	m := s.meter()
	before := m.read()
	book := s.ledger(w.N, w.Body)
	out, err := s.publish(ctx, load{Flow: w.Flow, phase: "publish", book: book, due: w.Mix.due()})
	if err != nil {
		return err
	}
	iv := m.since(before)
	full := m.read().system
	if err := s.verifySent(ctx, book, w.Mix); err != nil {
		return err
	}
	iv.addTo(&s.result, w.N)
	s.addSent(out, w.N)
	r := &s.result
	r.Metrics["append_ns"] = float64(out.took.Nanoseconds()) / float64(w.N)
	r.Metrics["rss_bytes"], r.Metrics["anon_rss_bytes"] = float64(full.RSS), float64(full.AnonRSS)
	if err := w.reopen(ctx, s, book); err != nil {
		return err
	}
	if err := w.burst(ctx, s); err != nil {
		return err
	}
	s.addSendLimit(w.Flow, w.Body, iv.embedded, out.perSecond(w.N))
	return nil
}

// reopen restarts the system after a kill, or, when it lives in this process and
// cannot be killed, after a clean stop.
func (w *Scale) reopen(ctx context.Context, s *stage, book *ledger) error {
	how := "kill -9"
	err := s.sys.Kill9()
	if errors.Is(err, ErrUnsupported) {
		how, err = "clean", nil
	}
	if err != nil {
		return fmt.Errorf("kill: %w", err)
	}
	s.unsubscribe()
	_, acked, err := s.restart(ctx, w.Body)
	if err != nil {
		return err
	}
	s.result.Params["restart"] = how
	s.result.Metrics["restart_ms"] = ms(acked)
	return s.checkPending(ctx, book)
}

// burst lets messages fire in one second beside all those that stay.
func (w *Scale) burst(ctx context.Context, s *stage) error {
	lead, err := s.lead(ctx, w.Flow, w.Burst, w.Body, 0)
	if err != nil {
		return err
	}
	if err := s.subscribe(ctx); err != nil {
		return err
	}
	first := time.Now().Add(lead).Truncate(time.Millisecond)
	book := s.ledgerFrom(first, w.Burst, w.Body)
	if _, err := s.publish(ctx, load{Flow: w.Flow, phase: "burst", book: book, due: spread(first, time.Second, w.Burst)}); err != nil {
		return err
	}
	if _, err := s.awaitQuiet(ctx, s.meter(), first); err != nil {
		return err
	}
	if err := s.awaitDelivery(ctx, book, first.Add(time.Second)); err != nil {
		return err
	}
	if err := s.verdict(ctx, book); err != nil {
		return err
	}
	s.addDelivered(book, first)
	return nil
}
