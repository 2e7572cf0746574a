package bench

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/bench/limit"
)

// Flow says how messages are offered. It is part of the params of a workload.
type Flow struct {
	// Publishers is how many connections send. Default 2.
	Publishers int
	// Window is how many messages of one publisher may wait for acknowledgement: 1
	// is a producer that waits for each. Default 1000.
	Window int
	// Batch is PublisherOptions.Batch: 0 is what suits the system.
	Batch int
	// Rate is how many messages a second are offered, whatever becomes of those
	// before: an open loop, whose latencies count from the intended time. 0 is a
	// closed loop, as fast as the window allows.
	Rate float64
}

func (f *Flow) setDefaults() {
	if f.Publishers <= 0 {
		f.Publishers = 2
	}
	if f.Window <= 0 {
		f.Window = 1000
	}
}

func (f *Flow) addTo(p map[string]any) {
	p["publishers"], p["window"], p["batch"], p["loop"] = f.Publishers, f.Window, f.Batch, "closed"
	if f.Rate > 0 {
		p["loop"], p["rate"] = "open", f.Rate
	}
}

// interval is the distance of two messages in an open loop.
func (f *Flow) interval() time.Duration { return time.Duration(float64(time.Second) / f.Rate) }

// load is a stream of all messages of a ledger.
type load struct {
	Flow
	phase string
	book  *ledger
	// due returns when message id, which is sent at a moment, shall come; nil sends
	// ordinary messages.
	due func(id uint64, at time.Time) time.Time
	// pace replaces even intervals in an open loop: the intended time of id. Rising.
	pace func(id uint64) time.Time
	// answered, when not nil, sees every acknowledgement. It must not block.
	answered func(id uint64, err error)
}

// sent is the outcome of a load.
type sent struct {
	start  time.Time
	took   time.Duration // from the first message to the last acknowledgement
	acks   *recorder     // latency of acknowledgements, from the intended time in an open loop
	course *timeline     // acknowledgements over time
}

func (s *sent) perSecond(n int64) float64 { return float64(n) / s.took.Seconds() }

// publish sends all messages of l and waits for their acknowledgements. An error
// means that it could not go on; refused messages are in the ledger.
func (s *stage) publish(ctx context.Context, l load) (*sent, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	senders, err := s.senders(ctx, &l)
	defer closeAll(senders)
	if err != nil {
		return nil, err
	}
	out := &sent{start: time.Now(), acks: newRecorder()}
	out.course = newTimeline(out.start)
	if l.Rate > 0 && l.pace == nil {
		l.pace = func(id uint64) time.Time { return out.start.Add(time.Duration(id) * l.interval()) }
	}
	var finished atomic.Bool
	var g errgroup.Group
	for _, w := range senders {
		w.out = out
		g.Go(func() error { return w.run(ctx) })
	}
	watched := make(chan error, 1)
	go func() {
		// Sending may pause as long as messages are not due to be sent.
		quietUntil := out.start
		if l.pace != nil {
			quietUntil = l.pace(uint64(l.book.n - 1))
		}
		err := s.await(ctx, l.phase, l.book.n, quietUntil, finished.Load, l.book.answers)
		if err != nil {
			cancel(err)
			closeAll(senders) // ends a Publish that blocks
		}
		watched <- err
	}()
	err = g.Wait()
	out.took = time.Since(out.start)
	finished.Store(true)
	if werr := <-watched; werr != nil && err != nil {
		err = werr // the cause
	}
	if err != nil {
		return nil, fmt.Errorf("publish: %w", err)
	}
	return out, nil
}

// answers counts the messages that the system has answered.
func (l *ledger) answers() int64 { return l.verdict.acked.Load() + l.verdict.refused.Load() }

// senders opens the publishers of l. On error those that are open are returned.
func (s *stage) senders(ctx context.Context, l *load) ([]*sender, error) {
	var out []*sender
	every := uint64(l.book.n/maxTimed + 1)
	stamps := make([]int64, uint64(l.book.n)/every+1)
	for i := range l.Publishers {
		w := &sender{load: l, first: uint64(i), window: newWindow(l.Window), every: every, stamps: stamps}
		p, err := s.sys.Publisher(ctx, i, PublisherOptions{Batch: l.Batch, Acked: w.acked})
		if err != nil {
			return out, fmt.Errorf("open publisher %d: %w", i, err)
		}
		w.pub = p
		out = append(out, w)
	}
	return out, nil
}

// maxTimed bounds how many acknowledgements of a load are timed: of more
// messages every second, third, ... is.
const maxTimed = 1 << 20

func closeAll(senders []*sender) {
	for _, w := range senders {
		w.close()
	}
}

// sender is one publisher at work on every Publishers-th message.
type sender struct {
	*load
	first  uint64
	pub    Publisher
	window *window
	out    *sent

	every  uint64  // which messages are timed
	stamps []int64 // when these were to be sent, ns since 1970; shared, each entry has one writer

	closing sync.Once
	closed  error
}

func (w *sender) close() error {
	w.closing.Do(func() { w.closed = w.pub.Close() })
	return w.closed
}

func (w *sender) run(ctx context.Context) error {
	defer w.window.abortOn(ctx)()
	alarm, err := limit.NewAlarm()
	if err != nil {
		return err
	}
	defer alarm.Close()
	body := make([]byte, w.book.size)
	for id := w.first; id < uint64(w.book.n); id += uint64(w.Publishers) {
		if err := w.one(ctx, id, body, alarm); err != nil {
			return err
		}
	}
	if err := w.pub.Flush(); err != nil {
		return err
	}
	if err := w.window.drain(); err != nil {
		return err
	}
	return w.close()
}

// one sends message id at its time.
func (w *sender) one(ctx context.Context, id uint64, body []byte, alarm *limit.Alarm) error {
	if err := w.window.take(w.pub.Flush); err != nil {
		return err
	}
	at, err := w.moment(ctx, id, alarm)
	if err != nil {
		return err
	}
	lab := label{series: w.book.series, id: id, dueNs: at.UnixNano()}
	var due time.Time
	if w.due != nil {
		due = w.due(id, at)
		lab.dueNs = due.UnixNano()
	}
	lab.fill(body)
	if id%w.every == 0 {
		w.stamps[id/w.every] = at.UnixNano()
	}
	return w.pub.Publish(w.book.base+id, due, body)
}

// moment waits for the intended time of id in an open loop; in a closed one that
// is now.
func (w *sender) moment(ctx context.Context, id uint64, alarm *limit.Alarm) (time.Time, error) {
	if w.pace == nil {
		return time.Now(), nil
	}
	at := w.pace(id)
	if time.Until(at) <= 0 {
		return at, nil
	}
	if err := w.pub.Flush(); err != nil {
		return at, err
	}
	// The alarm cannot be interrupted, so it is set in small steps.
	for ctx.Err() == nil {
		step := time.Now().Add(maxAlarm)
		if !step.Before(at) {
			return at, alarm.Wait(at)
		}
		if err := alarm.Wait(step); err != nil {
			return at, err
		}
	}
	return at, context.Cause(ctx)
}

const maxAlarm = 100 * time.Millisecond

// acked is PublisherOptions.Acked.
func (w *sender) acked(id uint64, err error) {
	now := time.Now()
	id -= w.book.base
	if err == nil && id%w.every == 0 && id/w.every < uint64(len(w.stamps)) {
		w.out.acks.record((now.UnixNano() - w.stamps[id/w.every]) / 1000)
	}
	w.out.course.add(now)
	w.book.ack(id, err)
	if w.answered != nil {
		w.answered(id, err)
	}
	w.window.put()
}
