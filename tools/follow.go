package tools

import (
	"context"
	"errors"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

// following reads all queues of a topic at once. Every queue has a goroutine that
// pulls; the messages are handed over by one, a pull at a time.
type following struct {
	e      *env
	cl     *client.Client
	group  string
	tags   string
	follow bool // wait for more at the end of a queue
	// start says where a queue begins.
	start func(ctx context.Context, q client.Queue) (int64, error)
	// take handles the messages of one pull. done ends it all.
	take func(ctx context.Context, q client.Queue, ms []message.Message) (done bool, err error)
	// passed, when not nil, is told that everything before next is dealt with.
	passed func(ctx context.Context, q client.Queue, next int64) error
}

const (
	// followWait is how long a pull waits at the broker.
	followWait = 10 * time.Second
	// followRetry is the pause after a pull that failed.
	followRetry = time.Second
)

// found is what one pull brought.
type found struct {
	queue client.Queue
	p     *client.Pulled
	taken chan<- struct{} // closed when it is dealt with, which is before the next pull
}

// run reads queues until take says that it is done, or, if it does not follow,
// until all of them are at their end.
func (f *following) run(ctx context.Context, queues []client.Queue) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ch := make(chan found)
	g, ctx := errgroup.WithContext(ctx)
	for _, q := range queues {
		g.Go(func() error { return f.queue(ctx, q, ch) })
	}
	ended := make(chan error, 1)
	go func() { ended <- g.Wait() }()
	for {
		select {
		case err := <-ended:
			return err
		case x := <-ch:
			done, err := f.hand(ctx, x)
			if done || err != nil {
				cancel()
				<-ended
				return err
			}
		}
	}
}

func (f *following) hand(ctx context.Context, x found) (done bool, err error) {
	defer close(x.taken)
	if len(x.p.Messages) > 0 {
		if done, err = f.take(ctx, x.queue, x.p.Messages); done || err != nil {
			return done, err
		}
	}
	if f.passed != nil {
		err = f.passed(ctx, x.queue, x.p.Next)
	}
	return false, err
}

// queue pulls one queue.
func (f *following) queue(ctx context.Context, q client.Queue, ch chan<- found) error {
	at, err := f.start(ctx, q)
	if err != nil {
		return err
	}
	o := client.PullOptions{Group: f.group, Tags: f.tags}
	if f.follow {
		o.Wait = followWait
	}
	for {
		p, err := f.cl.Pull(ctx, q, at, o)
		if err != nil {
			if err := f.passing(ctx, q, err); err != nil {
				return err
			}
			continue
		}
		if moved := p.Next != at; moved {
			taken := make(chan struct{})
			select {
			case ch <- found{q, p, taken}:
				<-taken
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		at = p.Next
		if !f.follow && at >= p.Max {
			return nil
		}
	}
}

// passing waits after an error that may pass, such as a restart of the broker,
// and returns every other.
func (f *following) passing(ctx context.Context, q client.Queue, err error) error {
	var refused *client.RefusedError
	final := errors.As(err, &refused) && refused.Code != remoting.RespSystemError && refused.Code != remoting.RespSystemBusy
	if final || !f.follow || ctx.Err() != nil {
		return err
	}
	f.e.warn("%s: %v; trying again", q, err)
	t := time.NewTimer(followRetry)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
