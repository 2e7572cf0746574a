package broker

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"
)

// traffic is what a broker has moved since it was started.
type traffic struct {
	in, out atomic.Int64 // messages stored, messages delivered
}

// rates keeps what traffic was at the last few minutes' ticks, from which the
// tools' messages per second over 10 s, 1 min and 10 min are computed, and at the
// last two midnights.
type rates struct {
	mu      sync.Mutex
	samples []sample // the newest last, at most ratesKept
	day     int      // of the newest sample, local
	morning sample   // the first of today
	evening sample   // the first of yesterday
}

// sample is traffic at one moment.
type sample struct {
	at                     time.Time
	in, out, placed, fired int64
}

const (
	ratesEvery = 10 * time.Second
	ratesKept  = 61 // 10 minutes and their beginning
)

// add takes a sample.
func (r *rates) add(s sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if day := s.at.YearDay(); day != r.day || len(r.samples) == 0 {
		r.evening, r.morning, r.day = r.morning, s, day
	}
	if len(r.samples) == ratesKept {
		r.samples = append(r.samples[:0], r.samples[1:]...)
	}
	r.samples = append(r.samples, s)
}

// perSecond writes the rates of a figure over 10 s, 1 min and 10 min, as far as
// they reach back, the way the tools split them.
func (r *rates) perSecond(now sample, figure func(*sample) int64) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return fmt.Sprintf("%.2f %.2f %.2f", r.over(now, figure, 10*time.Second), r.over(now, figure, time.Minute), r.over(now, figure, 10*time.Minute))
}

// over returns the rate between now and the newest sample that is at least d old,
// or the oldest there is. The caller holds mu.
func (r *rates) over(now sample, figure func(*sample) int64, d time.Duration) float64 {
	for i := len(r.samples) - 1; i >= 0; i-- {
		s := &r.samples[i]
		passed := now.at.Sub(s.at)
		if passed >= d || i == 0 && passed > 0 {
			return float64(figure(&now)-figure(s)) / passed.Seconds()
		}
	}
	return 0
}

// days returns the first samples of today and of yesterday.
func (r *rates) days() (morning, evening sample) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.morning, r.evening
}

// sampleTraffic returns what was moved until now.
func (b *Broker) sampleTraffic() sample {
	s := sample{at: time.Now(), in: b.metrics.traffic.in.Load(), out: b.metrics.traffic.out.Load()}
	for _, name := range b.topics.Names() {
		if topic, ok := b.topics.Lookup(name); ok {
			placed, fired := topic.timed()
			s.placed, s.fired = s.placed+placed, s.fired+fired
		}
	}
	return s
}

// timed returns how many messages with a fire time were stored and became visible
// since the store was opened.
func (t *Topic) timed() (placed, fired int64) {
	for id := range max(t.ReadQueues, t.WriteQueues) {
		if q := t.lookup(id); q != nil {
			placed += q.Scheduled()
			fired += q.Fired()
		}
	}
	return placed, fired
}

// runRates takes samples until the broker closes.
func (b *Broker) runRates(ctx context.Context) {
	tick := time.NewTicker(ratesEvery)
	defer tick.Stop()
	for {
		b.rates.add(b.sampleTraffic())
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// lately is the rate over the last 10 seconds.
func (r *rates) lately(now sample, figure func(*sample) int64) float64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.over(now, figure, ratesEvery)
}
