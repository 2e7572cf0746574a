package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/duelog/duelog/bench/limit"
)

// Send measures how fast messages are taken: acknowledgements per second, the CPU
// time that each costs the system, and how long one waits for it. Ordinary
// messages are read back afterwards; of scheduled ones, which are far from due,
// the count is checked where the system has one.
type Send struct {
	Flow
	Mix  Mix   // default MixNow
	N    int64 // messages; default 200,000
	Body int   // bytes; default 1024
}

// Name implements Workload.
func (w *Send) Name() string { return "send" }

func (w *Send) params() map[string]any {
	p := map[string]any{"n": w.N, "body": w.Body, "mix": string(w.Mix)}
	w.addTo(p)
	return p
}

func (w *Send) size() int { return w.Body }

func (w *Send) messages() int64 { return w.N }

func (w *Send) check() error {
	w.setDefaults()
	if w.Mix == "" {
		w.Mix = MixNow
	}
	return sane(&w.N, 200_000, &w.Body, w.Mix)
}

// sane sets the defaults of what all workloads have, and checks it.
func sane(n *int64, defaultN int64, body *int, mix Mix) error {
	if *n == 0 {
		*n = defaultN
	}
	if *body == 0 {
		*body = 1024
	}
	switch {
	case *n < 1:
		return fmt.Errorf("%d messages are too few", *n)
	case *body < MinBody:
		return fmt.Errorf("bodies of %d bytes are too small: at least %d are needed for the check", *body, MinBody)
	}
	return mix.Validate()
}

func (w *Send) run(ctx context.Context, s *stage) error {
	if err := s.up(ctx); err != nil {
		return err
	}
	if err := s.warmUp(ctx, w.Flow, w.Body); err != nil {
		return err
	}
	book := s.ledger(w.N, w.Body)
	m := s.meter()
	before := m.read()
	out, err := s.publish(ctx, load{Flow: w.Flow, phase: "publish", book: book, due: w.Mix.due()})
	if err != nil {
		return err
	}
	iv := m.since(before)
	if err := s.verifySent(ctx, book, w.Mix); err != nil {
		return err
	}
	iv.addTo(&s.result, w.N)
	s.addSent(out, w.N)
	s.addSendLimit(w.Flow, w.Body, iv.embedded, out.perSecond(w.N))
	return nil
}

// addSendLimit compares a rate of sending with the bound that holds for its flow.
func (s *stage) addSendLimit(f Flow, size int, embedded bool, rate float64) {
	var most float64
	var name string
	switch {
	case embedded && f.Window == 1:
		most, name = s.opts.Limits.rate(size, limit.SyncLocal)
		most *= float64(f.Publishers)
	case embedded:
		most, name = s.opts.Limits.rate(size, limit.MemcpyCRC, limit.Disk)
	case f.Window == 1:
		most, name = s.opts.Limits.rate(size, limit.SyncRoundTrip)
		most *= float64(f.Publishers)
	default:
		most, name = s.opts.Limits.rate(size, limit.Echo, limit.Disk)
	}
	s.result.limited(rate, most, name)
}

// due is load.due for a mix: whole milliseconds, counted from when a message is
// sent.
func (m Mix) due() func(uint64, time.Time) time.Time {
	if m == MixNow {
		return nil
	}
	return func(id uint64, at time.Time) time.Time { return at.Add(m.delay(id)).Truncate(time.Millisecond) }
}

// addSent writes the figures of a load of n messages.
func (s *stage) addSent(out *sent, n int64) {
	r := &s.result
	r.Metrics["send_per_s"] = out.perSecond(n)
	r.Metrics["ack_p50_ms"], r.Metrics["ack_p99_ms"] = msOf(out.acks.percentile(50)), msOf(out.acks.percentile(99))
	r.addHistogram("ack", out.acks.histogram())
	r.addHistogram("acked_over_time", out.course.histogram())
}

// verifySent makes sure that the system has what it acknowledged.
func (s *stage) verifySent(ctx context.Context, book *ledger, mix Mix) error {
	if mix == MixNow {
		if err := s.subscribe(ctx); err != nil {
			return err
		}
		if err := s.awaitDelivery(ctx, book, time.Now()); err != nil {
			return err
		}
		return s.verdict(ctx, book)
	}
	if err := book.check(false); err != nil {
		return err
	}
	return s.checkPending(ctx, book)
}

// verdict is that of book and of everything else that came.
func (s *stage) verdict(ctx context.Context, book *ledger) error {
	err := book.check(true)
	if altered := s.inbox.altered.Load(); altered > 0 {
		all := &VerdictError{Verdict: Verdict{Altered: altered}}
		if bad, ok := err.(*VerdictError); ok {
			all.add(bad.Verdict)
			all.Missing = bad.Missing
		}
		err = all
	}
	return s.findMissing(ctx, err, book.wrote)
}

const warmUpMessages = 2000

// warmUp sends and receives a few ordinary messages that nobody counts:
// connections, topics and files get made, and code gets warm. It leaves the system
// empty, because some count what nobody fetched as pending.
func (s *stage) warmUp(ctx context.Context, f Flow, size int) error {
	f.Rate = 0
	n := int64(warmUpMessages)
	if f.Window == 1 {
		n = int64(20 * f.Publishers)
	}
	book := s.ledger(n, size)
	err := s.subscribe(ctx)
	if err == nil {
		_, err = s.publish(ctx, load{Flow: f, phase: "warm up", book: book})
	}
	if err != nil {
		return fmt.Errorf("warm up: %w", err)
	}
	err = s.await(ctx, "warm up", n, time.Now(), book.complete, book.verdict.delivered.Load)
	s.unsubscribe()
	if isStall(err) {
		return nil // what does not come is a matter of the run itself
	}
	return err
}

// ms and msOf are milliseconds of a duration and of microseconds.
func ms(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e6 }
func msOf(us int64) float64      { return float64(us) / 1000 }
