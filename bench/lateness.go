package bench

import (
	"context"
	"time"
)

// Lateness measures light load: messages are published at a steady rate and each
// is due a little later, so that publishing and firing go on at the same time.
type Lateness struct {
	Flow                // Rate defaults to 200/s, Batch to 1
	For   time.Duration // how long messages are published; default 10 s
	Delay time.Duration // of each message, plus up to a second; default 2 s
	Body  int           // bytes; default 1024
}

// Name implements Workload.
func (w *Lateness) Name() string { return "lateness" }

func (w *Lateness) n() int64 { return int64(w.Rate * w.For.Seconds()) }

func (w *Lateness) params() map[string]any {
	p := map[string]any{"n": w.n(), "body": w.Body, "delay_s": w.Delay.Seconds()}
	w.addTo(p)
	return p
}

func (w *Lateness) size() int { return w.Body }

func (w *Lateness) messages() int64 { return w.n() }

func (w *Lateness) check() error {
	w.setDefaults()
	if w.Rate <= 0 {
		w.Rate = 200
	}
	if w.Batch == 0 {
		w.Batch = 1
	}
	if w.For <= 0 {
		w.For = 10 * time.Second
	}
	if w.Delay <= 0 {
		w.Delay = 2 * time.Second
	}
	n := w.n()
	return sane(&n, 1, &w.Body, MixNow)
}

func (w *Lateness) run(ctx context.Context, s *stage) error {
	if err := s.up(ctx); err != nil {
		return err
	}
	if err := s.warmUp(ctx, w.Flow, w.Body); err != nil {
		return err
	}
	if err := s.subscribe(ctx); err != nil {
		return err
	}
	m := s.meter()
	book := s.ledger(w.n(), w.Body)
	before := m.read()
	// A part of a second that differs from message to message, so that no step of
	// the system's clock looks better than it is.
	due := func(id uint64, at time.Time) time.Time {
		return at.Add(w.Delay + between(scramble(id), 0, time.Second)).Truncate(time.Millisecond)
	}
	out, err := s.publish(ctx, load{Flow: w.Flow, phase: "publish", book: book, due: due})
	if err != nil {
		return err
	}
	if err := s.awaitDelivery(ctx, book, out.start.Add(w.For+w.Delay+time.Second)); err != nil {
		return err
	}
	iv := m.since(before)
	if err := s.verdict(ctx, book); err != nil {
		return err
	}
	iv.addTo(&s.result, w.n())
	s.addSent(out, w.n())
	s.addLateness(book)
	s.result.addHistogram("delivered_over_time", book.arrivals.histogram())
	s.addLatenessLimit(w.Body)
	return nil
}
