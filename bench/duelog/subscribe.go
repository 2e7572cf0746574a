package duelog

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

// wake is a store.Watcher that leaves a token.
type wake chan struct{}

func (w wake) Wake() {
	select {
	case w <- struct{}{}:
	default:
	}
}

// Subscribe implements bench.System.
func (e *Embedded) Subscribe(ctx context.Context, deliver func([]byte, time.Time)) (func(), error) {
	return e.SubscribeGroup(ctx, "bench", deliver)
}

// SubscribeGroup implements bench.Grouper. Each queue has a goroutine.
func (e *Embedded) SubscribeGroup(_ context.Context, group string, deliver func([]byte, time.Time)) (func(), error) {
	e.mu.Lock()
	positions, ok := e.positions[group]
	if !ok {
		positions = make([]atomic.Int64, queues)
		e.positions[group] = positions
	}
	e.mu.Unlock()
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for i, q := range e.queues {
		r := &queueReader{store: e.store, queue: q, next: &positions[i], deliver: deliver, failed: e.cannotRead}
		wg.Go(func() { r.run(ctx) })
	}
	return func() { cancel(); wg.Wait() }, nil
}

// queueReader hands over what becomes visible in a queue.
type queueReader struct {
	store   *store.Store
	queue   *store.Queue
	next    *atomic.Int64 // slot; outlives the reader
	deliver func([]byte, time.Time)
	failed  func(error)
	buf     [256]store.Delivery
}

func (r *queueReader) run(ctx context.Context) {
	woken := make(wake, 1)
	defer r.queue.Unwatch(woken)
	for ctx.Err() == nil {
		if r.queue.Watch(r.next.Load(), woken) {
			select {
			case <-ctx.Done():
				return
			case <-woken:
			}
		}
		if !r.read(ctx) {
			return
		}
	}
}

// end ends the reader, which is told of unless the store is being closed.
func (r *queueReader) end(ctx context.Context, err error) bool {
	if ctx.Err() == nil && !errors.Is(err, store.ErrClosed) && !errors.Is(err, commitlog.ErrClosed) {
		r.failed(err)
	}
	return false
}

// read hands over one batch. A store that cannot read ends it: what does not
// come any more is missed by who counts.
func (r *queueReader) read(ctx context.Context) bool {
	n, err := r.queue.Read(r.next.Load(), r.buf[:])
	if err != nil {
		return r.end(ctx, fmt.Errorf("read slot %d of a queue: %w", r.next.Load(), err))
	}
	for i := range r.buf[:n] {
		d := &r.buf[i]
		if ctx.Err() != nil {
			return false
		}
		if !d.Void {
			v, err := r.store.Read(d.Loc, d.Size)
			if err != nil {
				return r.end(ctx, fmt.Errorf("read the message of slot %d: %w", d.Slot, err))
			}
			r.deliver(v.Bytes(), time.Now())
			v.Release()
		}
		r.next.Store(d.Slot + 1)
	}
	return true
}
