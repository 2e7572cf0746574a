package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/duelog/duelog/bench/probe"
)

// Footprint measures bytes: what a message takes on disk while it is pending,
// after it fired, and after its retention where a system can be told to make that
// short; and what is written for it in all. Every phase has a fresh system, and
// ordinary messages of the same body are the measure.
type Footprint struct {
	Flow
	N    int64 // messages of each phase; default 200,000
	Body int   // bytes; default 1024
	Mix  Mix   // of the pending ones; default MixEveryday
	// Retention also weighs what is left after the retention, where the system is a
	// Retainer. It takes about a minute.
	Retention bool
}

// Name implements Workload.
func (w *Footprint) Name() string { return "footprint" }

func (w *Footprint) params() map[string]any {
	p := map[string]any{"n": w.N, "body": w.Body, "mix": string(w.Mix)}
	w.addTo(p)
	return p
}

func (w *Footprint) size() int { return w.Body }

func (w *Footprint) messages() int64 { return 3 * w.N }

func (w *Footprint) check() error {
	w.setDefaults()
	w.Rate = 0
	if w.Mix == "" {
		w.Mix = MixEveryday
	}
	return sane(&w.N, 200_000, &w.Body, w.Mix)
}

// Settler is a System that holds part of what it stores in memory for a while.
// Settle brings all of it to its place on disk; it may restart the system, after
// publishers and subscribers were closed.
type Settler interface {
	Settle(ctx context.Context) error
}

// Retainer is a System that can forget fired messages soon. Retain is called
// before Start and sets how long they are kept.
type Retainer interface {
	Retain(d time.Duration)
}

// weight is what a system takes, per message of a phase.
type weight struct {
	stored    float64  // bytes in use, as the system says, else allocated
	allocated float64  // blocks of its files
	written   float64  // bytes its processes caused to be written; negative: unknown
	device    float64  // bytes its device wrote, by whomever; negative: unknown
	rss       int64    // bytes
	publish   interval // in which the messages were sent
}

func (w *Footprint) run(ctx context.Context, s *stage) error {
	plain, err := w.phase(ctx, s, "ordinary", nil)
	if err != nil {
		return err
	}
	pending, err := w.phase(ctx, s, "pending", w.Mix.due())
	if err != nil {
		return err
	}
	fired, err := w.fired(ctx, s)
	if err != nil {
		return err
	}
	if err := w.retained(ctx, s); err != nil {
		return err
	}
	pending.publish.addTo(&s.result, w.N)
	w.report(&s.result, plain, pending, fired)
	return nil
}

func (w *Footprint) report(r *Result, plain, pending, fired weight) {
	m := r.Metrics
	m["bytes_per_ordinary"], m["bytes_per_pending"], m["bytes_per_fired"] = plain.stored, pending.stored, fired.stored
	m["allocated_per_pending"] = pending.allocated
	if plain.stored > 0 {
		m["bytes_stored_ratio"] = fired.stored / plain.stored
		m["pending_stored_ratio"] = pending.stored / plain.stored
	}
	if plain.written > 0 && fired.written >= 0 {
		m["bytes_written_ratio"] = fired.written / plain.written
		m["written_per_ordinary"], m["written_per_scheduled"] = plain.written, fired.written
	}
	if plain.device > 0 && fired.device >= 0 {
		m["device_written_per_ordinary"], m["device_written_per_scheduled"] = plain.device, fired.device
	}
	if pending.rss > 0 {
		m["rss_bytes"] = float64(pending.rss)
	}
	r.limited(float64(w.Body), pending.stored, "body")
}

// phase weighs N messages that are published and, when ordinary, consumed.
func (w *Footprint) phase(ctx context.Context, s *stage, name string, due func(uint64, time.Time) time.Time) (weight, error) {
	if err := s.up(ctx); err != nil {
		return weight{}, err
	}
	if _, ok := s.sys.(Statser); !ok && s.sys.Place() == Foreign {
		return weight{}, fmt.Errorf("weigh files that are not known: %w", ErrUnsupported)
	}
	if err := s.warmUp(ctx, w.Flow, w.Body); err != nil {
		return weight{}, err
	}
	before, err := s.scale(ctx)
	if err != nil {
		return weight{}, err
	}
	book, m := s.ledger(w.N, w.Body), s.meter()
	start := m.read()
	if _, err := s.publish(ctx, load{Flow: w.Flow, phase: name, book: book, due: due}); err != nil {
		return weight{}, err
	}
	publish := m.since(start)
	mix := MixNow
	if due != nil {
		mix = w.Mix
	}
	if err := s.verifySent(ctx, book, mix); err != nil {
		return weight{}, err
	}
	out, err := s.weigh(ctx, before, w.N)
	out.publish = publish
	return out, err
}

// fired weighs N messages that were scheduled, fired and consumed.
func (w *Footprint) fired(ctx context.Context, s *stage) (weight, error) {
	if err := s.up(ctx); err != nil {
		return weight{}, err
	}
	lead, err := s.lead(ctx, w.Flow, w.N, w.Body, 0)
	if err != nil {
		return weight{}, err
	}
	before, err := s.scale(ctx)
	if err != nil {
		return weight{}, err
	}
	if err := s.soon(ctx, w.Flow, w.N, w.Body, lead); err != nil {
		return weight{}, err
	}
	return s.weigh(ctx, before, w.N)
}

// soon publishes n messages that are due after lead, at a rate that everybody
// can keep up with, and consumes them.
func (s *stage) soon(ctx context.Context, f Flow, n int64, size int, lead time.Duration) error {
	within := 100*time.Millisecond + time.Duration(n)*time.Second/40_000
	book := s.ledger(n, size)
	first := time.Now().Add(lead).Truncate(time.Millisecond)
	if _, err := s.publish(ctx, load{Flow: f, phase: "publish", book: book, due: spread(first, within, n)}); err != nil {
		return err
	}
	if err := s.subscribe(ctx); err != nil {
		return err
	}
	if err := s.awaitDelivery(ctx, book, first.Add(within)); err != nil {
		return err
	}
	return s.verdict(ctx, book)
}

// shortRetention is that of a Retainer. A subscriber that is behind by more misses
// messages, so it is far longer than one on a busy machine is.
const shortRetention = 15 * time.Second

// retained weighs what is left of fired messages after their retention.
func (w *Footprint) retained(ctx context.Context, s *stage) error {
	if _, ok := s.sys.(Retainer); !ok || !w.Retention {
		return nil
	}
	fresh := s.target.New
	s.target.New = func(m Mode) (System, error) {
		sys, err := fresh(m)
		if r, ok := sys.(Retainer); ok {
			r.Retain(shortRetention)
		}
		return sys, err
	}
	defer func() { s.target.New = fresh }()
	if err := s.up(ctx); err != nil {
		return err
	}
	if err := s.soon(ctx, w.Flow, w.N, w.Body, 2*time.Second); err != nil {
		return err
	}
	if err := s.settle(ctx); err != nil {
		return err
	}
	stored, err := s.forgotten(ctx)
	if err == nil {
		s.result.Metrics["bytes_after_retention"] = float64(stored) / float64(w.N)
	}
	return err
}

// forgotten waits until the system has nothing more to forget, which it is given
// some seconds for, and returns what it still stores.
func (s *stage) forgotten(ctx context.Context) (int64, error) {
	const patience = 35 * time.Second // systems look every half minute
	least, since := int64(-1), time.Now()
	for time.Since(since) < patience {
		n, _, err := s.stored(ctx)
		if err != nil {
			return 0, err
		}
		if least < 0 || n < least {
			least, since = n, time.Now()
		}
		s.progress("retention", 0, 0)
		if err := pause(ctx, 200*time.Millisecond); err != nil {
			return 0, err
		}
	}
	return least, nil
}

// gross is a weight before it is divided by messages.
type gross struct{ stored, allocated, written, device int64 }

func (s *stage) scale(ctx context.Context) (gross, error) {
	device := probe.BlockWritten(s.dir)
	stored, allocated, err := s.stored(ctx)
	if err != nil {
		return gross{}, err
	}
	return gross{stored: stored, allocated: allocated, written: s.meter().read().system.WrittenBytes, device: device}, nil
}

// stored returns the bytes in use, as the system says, or else as the files do.
func (s *stage) stored(ctx context.Context) (stored, allocated int64, err error) {
	d, err := probe.DiskUsage(s.dir)
	if err != nil {
		return 0, 0, fmt.Errorf("add up files: %w", err)
	}
	stored = d.Allocated
	if st, ok := s.sys.(Statser); ok {
		got, err := st.Stats(ctx)
		if err != nil {
			return 0, 0, fmt.Errorf("ask for statistics: %w", err)
		}
		if got.StoredBytes >= 0 {
			stored = got.StoredBytes
		}
	}
	return stored, d.Allocated, nil
}

// weigh divides what came since before by n messages. Written bytes are read
// before the system settles, since it may restart for that, and what it writes
// then is what it stores more.
func (s *stage) weigh(ctx context.Context, before gross, n int64) (weight, error) {
	usage := s.meter().read().system
	s.unsubscribe()
	unsettled, _, err := s.stored(ctx)
	if err != nil {
		return weight{}, err
	}
	if err := s.settle(ctx); err != nil {
		return weight{}, err
	}
	after, err := s.scale(ctx)
	if err != nil {
		return weight{}, err
	}
	each := func(to, from int64) float64 {
		if to == probe.Unknown || from == probe.Unknown {
			return probe.Unknown
		}
		return float64(to-from) / float64(n)
	}
	if usage.WrittenBytes != probe.Unknown {
		usage.WrittenBytes += max(after.stored-unsettled, 0)
	}
	return weight{
		stored: each(after.stored, before.stored), allocated: each(after.allocated, before.allocated),
		written: each(usage.WrittenBytes, before.written), device: each(after.device, before.device), rss: usage.RSS,
	}, nil
}

func (s *stage) settle(ctx context.Context) error {
	st, ok := s.sys.(Settler)
	if !ok {
		return nil
	}
	s.unsubscribe()
	s.progress("settle", 0, 0)
	if err := st.Settle(ctx); err != nil {
		return fmt.Errorf("settle: %w", err)
	}
	return nil
}
