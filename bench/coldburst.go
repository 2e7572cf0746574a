package bench

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/store"
)

// coldHotDelay is how long the messages beside the bursts wait.
const coldHotDelay = 1500 * time.Millisecond

// coldBursts are all rounds of bursts.
type coldBursts struct {
	*coldRun
	quiet, busy *recorder    // lateness of the messages beside, in us
	hot, cold   atomic.Int64 // how many came
	took        []*atomic.Int64
}

// burstAll lets messages pass at a steady rate, beside which in every other part of the
// time a burst of cold messages is due and read.
func (x *coldRun) burstAll(ctx context.Context) error {
	if err := errors.Join(x.store.Close(), x.evict(), x.open(nil)); err != nil {
		return err
	}
	if time.Now().Add(coldHotDelay).After(x.bursts) {
		return errColdSlow
	}
	b := &coldBursts{coldRun: x, quiet: newRecorder(), busy: newRecorder()}
	for range x.Rounds {
		b.took = append(b.took, &atomic.Int64{})
	}
	if err := b.run(ctx); err != nil {
		return err
	}
	m := x.result.Metrics
	for name, r := range map[string]*recorder{"beside": b.quiet, "burst": b.busy} {
		m["lateness_p50_"+name+"_ms"] = float64(r.percentile(50)) / 1000
		m["lateness_p99_"+name+"_ms"] = float64(r.percentile(99)) / 1000
	}
	m["lateness_p99_ratio"] = float64(b.busy.percentile(99)) / float64(max(b.quiet.percentile(99), 1))
	var rates []float64
	for _, us := range b.took {
		rates = append(rates, float64(x.Burst)/(float64(us.Load())/1e6))
	}
	m["burst_per_s"] = median(rates)
	x.result.addHistogram("lateness_beside", b.quiet.histogram())
	x.result.addHistogram("lateness_burst", b.busy.histogram())
	return nil
}

// run publishes and reads until everything that is due has come.
func (b *coldBursts) run(ctx context.Context) error {
	end := b.bursts.Add(time.Duration(b.Rounds) * b.window)
	hot, err := b.queuesOf("hot")
	if err != nil {
		return err
	}
	coldOnes, err := b.queuesOf("cold")
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	g, ctx := errgroup.WithContext(ctx)
	n, cold := int64(end.Sub(b.bursts).Seconds())*b.Rate, b.Burst*int64(b.Rounds)
	for i := range coldQueues {
		g.Go(func() error { return b.consume(ctx, hot[i], &b.hot, n, b.noteHot) })
		g.Go(func() error { return b.consume(ctx, coldOnes[i], &b.cold, cold, b.noteCold) })
	}
	g.Go(func() error { return b.publish(ctx, hot, n) })
	g.Go(func() error {
		defer cancel() // who waits for more does not get it
		return b.awaitAll(ctx, n+cold, end)
	})
	if err := g.Wait(); err != nil {
		return err
	}
	if b.hot.Load() != n || b.cold.Load() != cold {
		return &VerdictError{Verdict: Verdict{Lost: n + cold - b.hot.Load() - b.cold.Load()}}
	}
	return nil
}

// awaitAll returns when n messages have come, or nothing comes any more after end.
func (b *coldBursts) awaitAll(ctx context.Context, n int64, end time.Time) error {
	came := func() int64 { return b.hot.Load() + b.cold.Load() }
	err := b.await(ctx, "burst", n, end, func() bool { return came() >= n }, came)
	if isStall(err) {
		return nil // what is missing is counted
	}
	return err
}

// hotDue is when message i beside the bursts is due, which its id says too.
func (b *coldBursts) hotDue(i int64) time.Time {
	return b.bursts.Add(time.Duration(i) * time.Second / time.Duration(b.Rate)).Truncate(time.Millisecond)
}

func (b *coldBursts) publish(ctx context.Context, queues []*store.Queue, n int64) error {
	c := &coldPuts{}
	var body []byte
	for i := range n {
		due := b.hotDue(i)
		if err := pause(ctx, time.Until(due)-coldHotDelay); err != nil {
			return err
		}
		body = jsonBody(body, uint64(i), b.Body)
		c.Add(1)
		if err := b.store.PutAsync(&store.Message{Queue: queues[i%coldQueues], FireMs: due.UnixMilli(), Key: uint32(i), Payload: body}, c, 0); err != nil {
			return fmt.Errorf("put: %w", err)
		}
	}
	c.Wait()
	return c.err
}

// consume reads what becomes visible in q until everybody has read n in all.
func (b *coldBursts) consume(ctx context.Context, q *store.Queue, got *atomic.Int64, n int64, note func(id int64, at time.Time)) error {
	woken := make(coldWake, 1)
	defer q.Unwatch(woken)
	var buf [64]store.Delivery
	for next := int64(0); got.Load() < n; {
		if q.Watch(next, woken) {
			select {
			case <-ctx.Done():
				return nil // what is missing is counted
			case <-woken:
			case <-time.After(100 * time.Millisecond): // the others may have read the last
			}
		}
		k, err := q.Read(next, buf[:])
		if err != nil {
			return err
		}
		for i := range buf[:k] {
			if err := b.take(&buf[i], note); err != nil {
				return err
			}
			next = buf[i].Slot + 1
			got.Add(1)
		}
	}
	return nil
}

func (b *coldBursts) take(d *store.Delivery, note func(id int64, at time.Time)) error {
	v, err := b.store.Read(d.Loc, d.Size)
	if err != nil {
		return fmt.Errorf("read message: %w", err)
	}
	defer v.Release()
	now := time.Now()
	id, err := coldID(v.Bytes())
	if err == nil {
		note(id, now)
	}
	return err
}

func (b *coldBursts) noteHot(i int64, at time.Time) {
	due := b.hotDue(i)
	in := due.Sub(b.bursts) % b.window
	r := b.quiet
	if in >= b.window/2 {
		r = b.busy
	}
	r.record(at.Sub(due).Microseconds())
}

// noteCold notes how long after its beginning a burst goes on.
func (b *coldBursts) noteCold(id int64, at time.Time) {
	round := id / b.Burst
	if round >= int64(len(b.took)) {
		return
	}
	us := at.Sub(b.dueOf(round * b.Burst)).Microseconds()
	for t := b.took[round]; ; {
		if old := t.Load(); old >= us || t.CompareAndSwap(old, us) {
			return
		}
	}
}

// coldWake is a store.Watcher that leaves a token.
type coldWake chan struct{}

// Wake implements store.Watcher.
func (w coldWake) Wake() {
	select {
	case w <- struct{}{}:
	default:
	}
}
