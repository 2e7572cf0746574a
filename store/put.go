package store

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/duelog/duelog/commitlog"
)

// Message is what Put stores.
type Message struct {
	Queue *Queue
	// FireMs is the wall-clock time, in ms since 1970, at which the message becomes
	// visible. A time that has passed, 0 included, means now.
	FireMs int64
	// NowMs is the present as the caller has just read it by Store.NowMs; 0 has it read.
	NowMs int64
	// Tag is handed back in Delivery for filtering; Key is kept in the delay index.
	Tag, Key uint32
	// Keys are hashes by which Lookup finds the message; see Options.Keys, which must
	// find the same ones in Payload. They are copied before Put returns.
	Keys []uint64
	// Payload is opaque. It is copied before Put returns.
	Payload []byte
}

// Result says where a message went.
type Result struct {
	// Loc is for good unless the message waits for more than four days: then it moves
	// once, a day before it fires at the latest. A Delivery has the final one.
	Loc     commitlog.Loc
	Slot    int64 // -1 while the message is pending
	StoreMs int64
	FireMs  int64 // 0 when the message was due at once
	Size    int32
}

// Completer is told how an asynchronous Put ended. PutDone runs on the lane's
// writer goroutine and must not block.
type Completer interface {
	PutDone(cookie uint64, r Result, err error)
}

// PutAsync hands m to its lane and returns; c.PutDone(cookie, ...) is called when
// the message is durable by the flush policy, or failed. When PutAsync itself
// returns an error nothing was stored and c is not called; one that is ErrBusy says
// that the store is behind. It blocks only while the lane has more bytes waiting
// than it may hold, and not for longer than Options.MaxSendWait.
func (s *Store) PutAsync(m *Message, c Completer, cookie uint64) error {
	if s.closed.Load() {
		return ErrClosed
	}
	if m.Queue.deleted.Load() {
		return ErrQueueDeleted
	}
	if err := s.refusing(); err != nil {
		return err
	}
	rec := commitlog.Record{Queue: m.Queue.id, Tag: m.Tag, Key: m.Key, Payload: m.Payload, Keys: m.Keys}
	lane := uint8(0)
	now := m.NowMs
	if now == 0 {
		now = s.clock.NowMs()
	}
	if m.FireMs > now {
		if m.FireMs-now > s.maxDelayMs {
			s.metrics.tooFar.Inc()
			return fmt.Errorf("%w: at most %v", ErrTooFar, s.opts.MaxDelay)
		}
		rec.When, rec.Flags = m.FireMs, commitlog.FlagScheduled
		lane = laneFor(m.FireMs - now)
		if err := s.refusesScheduled(m, lane, now); err != nil {
			return err
		}
	}
	p := completions.Get().(*completion)
	p.c = c
	if err := s.lanes[lane].log.Append(&rec, p, cookie); err != nil {
		p.release()
		return s.laneError(err)
	}
	return nil
}

// refusing returns why no message is taken at present, nil when one is.
func (s *Store) refusing() error {
	switch {
	case s.failure.Load() != nil: // space would not help any more
		return fmt.Errorf("%w: %w", ErrReadOnly, s.Err())
	case s.diskFull.Load():
		return ErrDiskFull
	case DiskLevel(s.disk.level.Load()) == DiskRefuses:
		return errDiskLimit
	}
	return nil
}

// completion turns what the log says of a record into what Put's caller wants
// to know. Pooled, so that the hot path allocates nothing.
type completion struct{ c Completer }

var completions = sync.Pool{New: func() any { return new(completion) }}

func (p *completion) release() {
	p.c = nil
	completions.Put(p)
}

// Complete implements commitlog.Completer.
func (p *completion) Complete(cookie uint64, it *commitlog.Item, storeMs int64, err error) {
	c := p.c
	p.release()
	if err != nil {
		c.PutDone(cookie, Result{}, err)
		return
	}
	r := Result{Loc: it.Loc, Slot: it.When, StoreMs: storeMs, Size: it.Size}
	if it.Flags&commitlog.FlagScheduled != 0 {
		r.Slot, r.FireMs = -1, it.When
	}
	c.PutDone(cookie, r, nil)
}

// Put stores m and returns when it is durable by the flush policy. It waits for room
// in the lane. When ctx ends first it returns ctx's error, and the message may or
// may not have been stored.
func (s *Store) Put(ctx context.Context, m *Message) (Result, error) {
	w := &waiter{done: make(chan struct{})}
	err := s.PutAsync(m, w, 0)
	for isLaneFull(err) && ctx.Err() == nil {
		time.Sleep(time.Millisecond)
		err = s.PutAsync(m, w, 0)
	}
	if err != nil {
		return Result{}, err
	}
	select {
	case <-w.done:
		return w.result, w.err
	case <-ctx.Done():
		return Result{}, ctx.Err()
	}
}

func isLaneFull(err error) bool {
	var busy *BusyError
	return errors.As(err, &busy) && busy.Reason == BusyLane
}

type waiter struct {
	done   chan struct{}
	result Result
	err    error
}

func (w *waiter) PutDone(_ uint64, r Result, err error) {
	w.result, w.err = r, err
	close(w.done)
}
