package bench

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// Steady measures what a message costs on disk when a system has run for so long that
// as much expires as comes: bytes stored for each message that waits or is within its
// retention, and bytes written for each. It lives through more than a year of
// messages, evenly spread, in simulated time, and then through some weeks of ordinary
// ones of the same body, which are the measure. The system must be a Simulator.
type Steady struct {
	PerDay int64 // messages; default 4000
	Body   int   // bytes of JSON; default 1024
	Mix    Mix   // default MixEveryday
	// Warm is how long it runs before it is weighed, Window how long it is weighed then,
	// once a day. Default 370 and 60 days; ordinary messages take 8 and 20.
	Warm, Window time.Duration
	// Kept is how long the system keeps a message after its time, and an ordinary one
	// after it was stored. Default 2 and 3 days.
	Kept, KeptOrdinary time.Duration
}

// steadyStep is how far the clock moves at once.
const steadyStep = 20 * time.Minute

// simulationStart is an hour's beginning, so that runs of one setting agree.
var simulationStart = time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)

// Name implements Workload.
func (w *Steady) Name() string { return "steady" }

func (w *Steady) params() map[string]any {
	return map[string]any{
		"per_day": w.PerDay, "body": w.Body, "mix": string(w.Mix), "bodies": "json",
		"warm_days": int64(w.Warm / day), "window_days": int64(w.Window / day), "time": "simulated",
	}
}

func (w *Steady) size() int { return w.Body }

// messages is 0: bytes are counted, not time, so no memory needs to be fetched ahead.
func (w *Steady) messages() int64 { return 0 }

func (w *Steady) check() error {
	for d, def := range map[*time.Duration]time.Duration{&w.Warm: 370 * day, &w.Window: 60 * day, &w.Kept: 2 * day, &w.KeptOrdinary: 3 * day} {
		if *d == 0 {
			*d = def
		}
	}
	if w.Mix == "" {
		w.Mix = MixEveryday
	}
	if w.Mix == MixNow || w.Warm < day || w.Window < 2*day {
		return errors.New("steady wants a mix of scheduled messages, a day at least to warm up and two to be weighed")
	}
	err := sane(&w.PerDay, 4000, &w.Body, w.Mix)
	if w.Body < minJSONBody {
		return fmt.Errorf("body of %d bytes: JSON takes at least %d", w.Body, minJSONBody)
	}
	return err
}

func (w *Steady) run(ctx context.Context, s *stage) error {
	before := meter{}.read()
	mixed, err := w.live(ctx, s, w.Mix, w.Warm, w.Window, w.Kept)
	if err != nil {
		return err
	}
	plain, err := w.live(ctx, s, MixNow, min(w.Warm, 8*day), min(w.Window, 20*day), w.KeptOrdinary)
	if err != nil {
		return err
	}
	meter{}.since(before).addTo(&s.result, 0)
	m := s.result.Metrics
	m["stored_per_message"], m["stored_per_ordinary"] = mixed.stored, plain.stored
	m["written_per_message"], m["written_per_ordinary"] = mixed.written, plain.written
	m["bytes_stored_ratio"], m["bytes_written_ratio"] = mixed.stored/plain.stored, mixed.written/plain.written
	for class, bytes := range mixed.classes {
		m["written_"+class+"_per_message"] = bytes
	}
	m["messages"], m["messages_kept"] = float64(mixed.messages), mixed.kept
	return nil
}

// steadyWeight is what a message costs in the window.
type steadyWeight struct {
	stored, written float64 // bytes per message kept, per message sent
	kept            float64 // messages that wait or are within their retention, in the mean
	messages        int64
	classes         map[string]float64 // written by class of file, per message sent
}

// live lets a fresh system live through warm and window.
func (w *Steady) live(ctx context.Context, s *stage, mix Mix, warm, window, kept time.Duration) (steadyWeight, error) {
	fresh := s.target.New
	s.target.New = func(m Mode) (System, error) {
		sys, err := fresh(m)
		if err != nil {
			return nil, err
		}
		sim, ok := sys.(Simulator)
		if !ok {
			return nil, fmt.Errorf("move the clock of %s: %w", s.target.Name, ErrUnsupported)
		}
		sim.Simulate(simulationStart)
		return sys, nil
	}
	defer func() { s.target.New = fresh }()
	if err := s.up(ctx); err != nil {
		return steadyWeight{}, err
	}
	l := &life{
		stage: s, sim: s.sys.(Simulator), mix: mix, size: w.Body, kept: kept,
		steps: int64((warm + window) / steadyStep), from: int64(warm / steadyStep), perDay: w.PerDay,
	}
	return l.run(ctx)
}

// life is one system in simulated time.
type life struct {
	*stage
	sim    Simulator
	mix    Mix
	size   int
	kept   time.Duration
	steps  int64
	from   int64 // the step from which it is weighed
	perDay int64

	book   *ledger
	pub    Publisher
	nowNs  atomic.Int64
	due    []int64 // how many messages are to come in each step
	gone   []int64 // how many end in each step
	mu     sync.Mutex
	buf    []byte // of deliver; guarded by mu
	weight steadyWeight
}

// at is the simulated time at which a step begins.
func (l *life) at(step int64) time.Time { return simulationStart.Add(time.Duration(step) * steadyStep) }

// sentBy is how many messages are sent before a step.
func (l *life) sentBy(step int64) int64 {
	return l.perDay * step / int64(day/steadyStep)
}

// dueOf is when message id, which is sent at the beginning of a step, is due.
func (l *life) dueOf(id uint64, step int64) time.Time { return l.at(step).Add(l.mix.delay(id)) }

// stepOf is the step at whose beginning id was sent.
func (l *life) stepOf(id uint64) int64 {
	step := int64(id) * int64(day/steadyStep) / l.perDay
	for l.sentBy(step+1) <= int64(id) {
		step++
	}
	return step
}

func (l *life) run(ctx context.Context) (steadyWeight, error) {
	n := l.sentBy(l.steps)
	l.book = newLedger(rand.Uint64(), n, l.size, time.Now())
	l.due, l.gone = make([]int64, l.steps+1), make([]int64, l.steps+1)
	l.nowNs.Store(simulationStart.UnixNano())
	var err error
	if l.pub, err = l.sys.Publisher(ctx, 0, PublisherOptions{Acked: l.book.ack}); err != nil {
		return l.weight, fmt.Errorf("open publisher: %w", err)
	}
	defer l.pub.Close()
	stop, err := l.sys.Subscribe(ctx, l.deliver)
	if err != nil {
		return l.weight, fmt.Errorf("subscribe: %w", err)
	}
	l.stops = append(l.stops, stop)
	if err := l.pass(ctx); err != nil {
		return l.weight, err
	}
	return l.weight, l.verdict(ctx)
}

// pass lets all steps pass, and weighs once a day from l.from on.
func (l *life) pass(ctx context.Context) error {
	perDay := int64(day / steadyStep)
	var waiting, delivered, weighed, stored, kept int64
	var before, written map[string]int64
	for step := range l.steps {
		if err := l.send(step); err != nil {
			return err
		}
		waiting += l.sentBy(step+1) - l.sentBy(step)
		l.nowNs.Store(l.at(step + 1).UnixNano())
		if err := l.sim.Advance(ctx, l.at(step+1)); err != nil {
			return fmt.Errorf("advance the clock: %w", err)
		}
		delivered += l.due[step]
		if err := l.awaitCount(ctx, delivered); err != nil {
			return err
		}
		waiting -= l.gone[step]
		if (step+1)%perDay != 0 {
			continue
		}
		l.progress(string(l.mix), step+1, l.steps)
		if step+1 < l.from {
			continue
		}
		bytes, wrote, err := l.sim.Weigh(ctx)
		if err != nil {
			return fmt.Errorf("weigh: %w", err)
		}
		if weighed == 0 {
			before = wrote
		}
		weighed, stored, kept, written = weighed+1, stored+bytes, kept+waiting, wrote
	}
	l.weight.messages = l.sentBy(l.steps)
	l.weight.kept = float64(kept) / float64(weighed)
	l.weight.stored = float64(stored) / float64(kept)
	l.weight.classes = map[string]float64{}
	for class, bytes := range written {
		each := float64(bytes-before[class]) / float64(weighed-1) / float64(l.perDay)
		l.weight.classes[class] = each
		l.weight.written += each
	}
	return nil
}

// send sends the messages of a step and waits for their acknowledgements.
func (l *life) send(step int64) error {
	var body []byte
	for id := l.sentBy(step); id < l.sentBy(step+1); id++ {
		due := l.dueOf(uint64(id), step)
		count(l.due, step, due.Sub(simulationStart))
		count(l.gone, step, due.Sub(simulationStart)+l.kept)
		if l.mix == MixNow {
			due = time.Time{}
		}
		body = jsonBody(body, uint64(id), l.size)
		if err := l.pub.Publish(uint64(id), due, body); err != nil {
			return fmt.Errorf("publish: %w", err)
		}
	}
	if err := l.pub.Flush(); err != nil {
		return fmt.Errorf("publish: %w", err)
	}
	for l.book.answers() < l.sentBy(step+1) {
		time.Sleep(50 * time.Microsecond)
	}
	return nil
}

// count adds one to the step in which a moment lies, or on whose end it falls, but to
// none before sent: an ordinary message is due when its step begins, which is the end of
// the step before, and comes in its own.
func count(steps []int64, sent int64, since time.Duration) {
	step := max(int64((since+steadyStep-1)/steadyStep)-1, sent)
	if step < int64(len(steps)) {
		steps[step]++
	}
}

// awaitCount waits until n messages have come: the clock must not move on before
// they are read, or retention takes them.
func (l *life) awaitCount(ctx context.Context, n int64) error {
	var idle stillness
	for l.arrived() < n {
		if idle.look(l.arrived(), time.Now()) > l.opts.Stall {
			return l.stalled(ctx, n)
		}
		if err := pause(ctx, 50*time.Microsecond); err != nil {
			return err
		}
	}
	return nil
}

// stalled fails a run in which fewer than n messages came, and asks the system why.
func (l *life) stalled(ctx context.Context, n int64) error {
	err := l.findMissing(ctx, l.verdictOf(n), l.wrote)
	if st, ok := l.sys.(Statser); ok {
		if _, cause := st.Stats(ctx); cause != nil {
			return fmt.Errorf("%w; %w", err, cause)
		}
	}
	return err
}

// wrote reports whether body is that of message id.
func (l *life) wrote(id uint64, body []byte) bool {
	got, err := parseJSONBody(body, nil)
	return err == nil && got == id
}

// arrived counts what came, good or bad.
func (l *life) arrived() int64 {
	v := &l.book.verdict
	return v.delivered.Load() + v.altered.Load() + v.duplicates.Load()
}

// deliver holds a message that came against what was sent.
func (l *life) deliver(body []byte, _ time.Time) {
	l.mu.Lock()
	id, err := parseJSONBody(body, l.buf)
	l.mu.Unlock()
	if err != nil {
		l.book.verdict.altered.Add(1)
		return
	}
	due := l.dueOf(id, l.stepOf(id))
	l.book.receive(label{id: id, dueNs: due.UnixNano()}, time.Unix(0, l.nowNs.Load()))
}

// verdictOf fails a run in which fewer than n messages came.
func (l *life) verdictOf(n int64) *VerdictError {
	v := Verdict{
		Lost: n - l.arrived(), Refused: l.book.verdict.refused.Load(), Early: l.book.verdict.early.Load(),
		Duplicates: l.book.verdict.duplicates.Load(), Altered: l.book.verdict.altered.Load(),
	}
	now := time.Unix(0, l.nowNs.Load())
	return &VerdictError{Verdict: v, Missing: l.book.missing(func(id uint64) (Missing, bool) {
		due := l.dueOf(id, l.stepOf(id))
		return Missing{ID: id, Due: due}, !due.After(now)
	})}
}

// verdict checks everything that was sent: what was due has come, the rest waits.
func (l *life) verdict(ctx context.Context) error {
	if err := l.book.check(false); err != nil {
		return err
	}
	return l.countPending(ctx, l.book.n-l.book.verdict.delivered.Load())
}
