package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/duelog/duelog/bench/limit"
)

// Fire measures delivery: N messages, scheduled ahead, are due evenly within a
// window of time. A window of a second or less is a hot second, which nobody
// delivers in time: what counts then is how fast it drains.
type Fire struct {
	Flow                 // of publishing ahead; Rate does not apply
	N      int64         // messages; default 200,000
	Body   int           // bytes; default 1024
	Within time.Duration // length of the window; default 10 s
	// Lead is the time between the start of publishing and the first due time. 0
	// takes what the warm-up suggests.
	Lead time.Duration
}

// Name implements Workload.
func (w *Fire) Name() string { return "fire" }

func (w *Fire) params() map[string]any {
	p := map[string]any{"n": w.N, "body": w.Body, "within_s": w.Within.Seconds()}
	w.addTo(p)
	return p
}

func (w *Fire) size() int { return w.Body }

func (w *Fire) messages() int64 { return w.N }

func (w *Fire) check() error {
	w.setDefaults()
	w.Rate = 0
	if w.Within <= 0 {
		w.Within = 10 * time.Second
	}
	return sane(&w.N, 200_000, &w.Body, MixNow)
}

// quiet is how long before the first due time publishing must have ended, so that
// its work is not counted as that of firing.
const quiet = 500 * time.Millisecond

func (w *Fire) run(ctx context.Context, s *stage) error {
	if err := s.up(ctx); err != nil {
		return err
	}
	lead, err := s.lead(ctx, w.Flow, w.N, w.Body, w.Lead)
	if err != nil {
		return err
	}
	if err := s.subscribe(ctx); err != nil {
		return err
	}
	m := s.meter()
	first := time.Now().Add(lead).Truncate(time.Millisecond)
	book := s.ledgerFrom(first, w.N, w.Body)
	start := m.read()
	out, err := s.publish(ctx, load{Flow: w.Flow, phase: "publish", book: book, due: spread(first, w.Within, w.N)})
	if err != nil {
		return err
	}
	published := m.since(start)
	before, err := s.awaitQuiet(ctx, m, first)
	if err != nil {
		return err
	}
	if err := s.awaitDelivery(ctx, book, first.Add(w.Within)); err != nil {
		return err
	}
	iv := m.since(before)
	if err := s.verdict(ctx, book); err != nil {
		return err
	}
	iv.addTo(&s.result, w.N)
	published.addCPU(&s.result, "publish_cpu_us_per_msg", w.N)
	s.addSent(out, w.N)
	s.addDelivered(book, first)
	w.addLimit(s)
	return nil
}

// addLimit compares a hot second with the rate of bare frames, and any other
// window with the bare timer.
func (w *Fire) addLimit(s *stage) {
	if w.Within <= time.Second {
		s.addDrainLimit(w.Body, float64(w.N)/w.Within.Seconds())
		return
	}
	s.addLatenessLimit(w.Body)
}

// addDrainLimit compares with bare frames, or within a process with bare copies, and
// notes which share it is of offered, the rate at which messages are due.
func (s *stage) addDrainLimit(size int, offered float64) {
	name := limit.EchoPull
	if s.sys.Place() == InProcess {
		name = limit.MemcpyCRC
	}
	rate := s.result.Metrics["drain_per_s"]
	most, name := s.opts.Limits.rate(size, name)
	s.result.limited(rate, most, name)
	s.result.Metrics["offered_fraction"] = rate / offered
}

// spread makes n messages due evenly in [first, first+within), in whole
// milliseconds.
func spread(first time.Time, within time.Duration, n int64) func(uint64, time.Time) time.Time {
	return func(id uint64, _ time.Time) time.Time {
		at := time.Duration(float64(within) * float64(id) / float64(n))
		return first.Add(at).Truncate(time.Millisecond)
	}
}

// lead returns how long publishing n messages ahead may take. Without a wish it
// measures some thousand and allows for twice that pace.
func (s *stage) lead(ctx context.Context, f Flow, n int64, size int, wish time.Duration) (time.Duration, error) {
	if err := s.warmUp(ctx, f, size); err != nil {
		return 0, err
	}
	if wish > 0 {
		return wish, nil
	}
	probe := s.ledger(min(n, 10_000), size)
	far := func(_ uint64, at time.Time) time.Time { return at.Add(day).Truncate(time.Millisecond) }
	start := time.Now()
	if _, err := s.publish(ctx, load{Flow: f, phase: "probe", book: probe, due: far}); err != nil {
		return 0, err
	}
	each := time.Since(start) / time.Duration(probe.n)
	// The probe's messages stay pending: they are not to come.
	s.inbox.remove(probe)
	return 2*quiet + time.Second + 2*each*time.Duration(n), nil
}

// awaitQuiet waits for the moment before first when firing begins to be measured.
func (s *stage) awaitQuiet(ctx context.Context, m meter, first time.Time) (reading, error) {
	left := time.Until(first)
	if left < quiet {
		return reading{}, fmt.Errorf("%w: publishing ended %s before the first due time; give it a longer lead", ErrTooSlow, left.Round(time.Millisecond))
	}
	if err := s.rest(ctx, left-quiet/2); err != nil {
		return reading{}, err
	}
	return m.read(), nil
}

// addDelivered writes the figures of a delivery whose first due time was first.
func (s *stage) addDelivered(book *ledger, first time.Time) {
	r := &s.result
	took := time.Unix(0, book.lastNs.Load()).Sub(first)
	n := book.verdict.delivered.Load()
	if took > 0 {
		r.Metrics["drain_per_s"] = float64(n) / took.Seconds()
	}
	r.Metrics["fire_per_s"] = float64(book.arrivals.peakPerSecond())
	s.addLateness(book)
	r.addHistogram("delivered_over_time", book.arrivals.histogram())
}

func (s *stage) addLateness(book *ledger) {
	r := &s.result
	r.Metrics["lateness_p50_ms"] = msOf(book.lateness.percentile(50))
	r.Metrics["lateness_p99_ms"] = msOf(book.lateness.percentile(99))
	r.Metrics["lateness_min_ms"] = msOf(book.lateness.percentile(0))
	r.Metrics["lateness_max_ms"] = msOf(book.lateness.percentile(100))
	r.addHistogram("lateness", book.lateness.histogram())
}

// addLatenessLimit notes the bare timer's median as a fraction of ours.
func (s *stage) addLatenessLimit(size int) {
	name := limit.Timer
	if s.sys.Place() == InProcess {
		name = limit.TimerLocal
	}
	p50 := s.result.Metrics["lateness_p50_ms"]
	if least := s.opts.Limits.lateness(size, name); least > 0 && p50 > 0 {
		s.result.limited(least, p50, name)
	}
}
