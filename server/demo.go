package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/server/remoting"
)

const (
	demoTopic = "duelog-demo"
	demoGroup = "duelog-demo"
	demoEvery = time.Second
	demoAhead = 3 * time.Second
	// demoRetry is the pause after a lost connection.
	demoRetry = time.Second
)

// demo schedules one message per interval through the wire protocol, as any
// client would, and prints when each one came. Several demonstrations may share
// a broker: each prints only what it scheduled itself.
type demo struct {
	broker string // address
	id     string // tells this demonstration's messages from others'
	every  time.Duration
	ahead  time.Duration
	log    *slog.Logger

	mu  sync.Mutex // guards out: scheduler and puller both print
	out io.Writer
}

func newDemo(broker string, out io.Writer, log *slog.Logger) *demo {
	return &demo{broker: broker, id: rand.Text(), every: demoEvery, ahead: demoAhead, log: log, out: out}
}

// runDemo runs until ctx ends, which is no error.
func (s *Server) runDemo(ctx context.Context) error {
	newDemo(dialable(s.listeners.broker.Addr()), s.out, s.log).run(ctx)
	return nil
}

func (d *demo) run(ctx context.Context) {
	d.printf("demo: one message per second, scheduled %s ahead on topic %s\n", formatDuration(d.ahead), demoTopic)
	for ctx.Err() == nil {
		err := d.session(ctx)
		if ctx.Err() != nil {
			return
		}
		d.log.Warn("demonstration interrupted", "error", err, "retry_in", demoRetry)
		wait(ctx, demoRetry)
	}
}

// session lives as long as its connection. The first message creates the topic,
// so it is sent before the queue is asked for its end.
func (d *demo) session(ctx context.Context) error {
	client, err := remoting.Dial(ctx, d.broker, nil)
	if err != nil {
		return err
	}
	defer client.Close()
	w := &demoWire{client: client, clientID: demoGroup + "@" + d.id}
	if err := w.heartbeat(ctx); err != nil {
		return err
	}
	if err := d.schedule(ctx, w, 1); err != nil {
		return err
	}
	end, err := w.queueEnd(ctx)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return d.scheduleAll(ctx, w) })
	g.Go(func() error { return d.receiveAll(ctx, w, end) })
	return g.Wait()
}

// scheduleAll goes on after the first message. It also keeps the consumer
// group alive, as clients do every 30 s.
func (d *demo) scheduleAll(ctx context.Context, w *demoWire) error {
	tick := time.NewTicker(d.every)
	defer tick.Stop()
	beat := time.NewTicker(30 * time.Second)
	defer beat.Stop()
	for n := 2; ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-beat.C:
			if err := w.heartbeat(ctx); err != nil {
				return err
			}
		case <-tick.C:
			if err := d.schedule(ctx, w, n); err != nil {
				return err
			}
			n++
		}
	}
}

// schedule sends message n. A refusal is printed and is no error: the broker
// said why, and may take the next one.
func (d *demo) schedule(ctx context.Context, w *demoWire, n int) error {
	due := time.Now().Add(d.ahead).UnixMilli()
	err := w.send(ctx, due, d.id, fmt.Sprintf("#%d", n))
	var refused *refusal
	if errors.As(err, &refused) {
		d.printf("demo: #%d was refused: %v\n", n, refused)
		return nil
	}
	return err
}

// receiveAll pulls from slot next on, waiting at the broker while there is nothing.
func (d *demo) receiveAll(ctx context.Context, w *demoWire, next int64) error {
	for {
		found, after, err := w.pull(ctx, next)
		came := time.Now()
		if err != nil {
			return err
		}
		for _, m := range found {
			if m.owner == d.id {
				d.report(m, came)
			}
		}
		next = after
	}
}

// report prints one arrival. Lateness is arrival by this process's clock minus
// due time, which has whole milliseconds; a negative one would be a fault.
func (d *demo) report(m demoMessage, came time.Time) {
	late := came.Sub(time.UnixMilli(m.dueMs))
	d.printf("demo: %-5s due %s  came %s  late %6.2f ms\n", m.text,
		time.UnixMilli(m.dueMs).Format("15:04:05.000"), came.Format("15:04:05.000"), float64(late.Microseconds())/1000)
}

func (d *demo) printf(format string, args ...any) {
	d.mu.Lock()
	defer d.mu.Unlock()
	fmt.Fprintf(d.out, format, args...)
}

func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
