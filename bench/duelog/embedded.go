package duelog

import (
	"context"
	"fmt"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

// Embedded is a store in this process. The CPU time of a run is that of both, the
// store and the load. It cannot be killed; Restart closes and opens it.
type Embedded struct {
	name    string
	async   bool
	keepFor time.Duration      // set by Retain
	clock   *store.ManualClock // set by Simulate

	dir       string
	store     *store.Store
	queues    []*store.Queue
	positions map[string][]atomic.Int64 // by group: the slot of each queue that is read next
	unread    error                     // the first message that a subscriber could not read
	mu        sync.Mutex                // guards positions and unread
}

// cannotRead notes why a subscriber ends.
func (e *Embedded) cannotRead(err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.unread == nil {
		e.unread = err
	}
}

// Name implements bench.System.
func (e *Embedded) Name() string { return e.name }

// Start implements bench.System.
func (e *Embedded) Start(_ context.Context, dir string) error {
	e.dir = dir
	e.positions = map[string][]atomic.Int64{}
	return e.open()
}

func (e *Embedded) open() error {
	o := &store.Options{}
	if e.async {
		o.Flush = commitlog.Async
	}
	if e.keepFor > 0 {
		// Small files, since space comes back in whole ones.
		o.Retention, o.ScheduledRetention = e.keepFor, e.keepFor
		o.SegmentSize, o.DelaySegmentSize, o.JournalSegmentSize = 8<<20, 8<<20, 8<<20
	}
	if e.clock != nil {
		simulated(o, e.clock)
	}
	var err error
	if e.store, err = store.Open(filepath.Join(e.dir, "data"), o); err != nil {
		return err
	}
	e.queues = nil
	for i := range queues {
		q, err := e.store.Queue(topicName, int32(i))
		if err != nil {
			return err
		}
		e.queues = append(e.queues, q)
	}
	return nil
}

// Retain implements bench.Retainer.
func (e *Embedded) Retain(d time.Duration) { e.keepFor = d }

// Info implements bench.System.
func (e *Embedded) Info() bench.Info {
	i := bench.Info{Version: "in this binary", Ack: "fdatasync per batch", Settings: "Flush: commitlog.Sync"}
	if e.async {
		i.Ack, i.Settings = "written; fdatasync every 200 ms or 4 MiB", "Flush: commitlog.Async"
	}
	return i
}

// Place implements bench.System.
func (e *Embedded) Place() bench.Place { return bench.InProcess }

// PIDs implements bench.System: there is none but this process.
func (e *Embedded) PIDs() []int { return nil }

// Stats implements bench.Statser.
func (e *Embedded) Stats(context.Context) (bench.Stats, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.unread != nil {
		return bench.Stats{}, e.unread
	}
	st := e.store.Stats()
	out := bench.Stats{Pending: st.Pending}
	for _, n := range st.StoredBytes {
		out.StoredBytes += n
	}
	return out, nil
}

// Kill9 implements bench.System.
func (e *Embedded) Kill9() error {
	return fmt.Errorf("kill the store alone: %w", bench.ErrUnsupported)
}

// Restart implements bench.System.
func (e *Embedded) Restart(context.Context) error {
	if err := e.store.Close(); err != nil {
		return err
	}
	return e.open()
}

// Settle implements bench.Settler.
func (e *Embedded) Settle(ctx context.Context) error { return e.Restart(ctx) }

// Close implements bench.System.
func (e *Embedded) Close() error {
	if e.store == nil {
		return nil
	}
	return e.store.Close()
}

// Publisher implements bench.System.
func (e *Embedded) Publisher(_ context.Context, _ int, o bench.PublisherOptions) (bench.Publisher, error) {
	return &putter{e: e, acked: o.Acked}, nil
}

// putter is a bench.Publisher and the store.Completer of its messages.
type putter struct {
	e     *Embedded
	acked func(uint64, error)
	puts  sync.WaitGroup
}

// queueOf spreads the messages over the queues.
func queueOf(id uint64) int { return int((id ^ id>>3) % queues) }

// Publish implements bench.Publisher.
func (p *putter) Publish(id uint64, due time.Time, body []byte) error {
	m := store.Message{Queue: p.e.queues[queueOf(id)], Payload: body}
	if !due.IsZero() {
		m.FireMs = due.UnixMilli()
	}
	p.puts.Add(1)
	err := p.e.store.PutAsync(&m, p, id)
	if err != nil {
		p.puts.Done()
	}
	return err
}

// PutDone implements store.Completer.
func (p *putter) PutDone(id uint64, _ store.Result, err error) {
	p.acked(id, err)
	p.puts.Done()
}

// Flush implements bench.Publisher: nothing is held back.
func (p *putter) Flush() error { return nil }

// Close implements bench.Publisher. The store completes every put.
func (p *putter) Close() error {
	p.puts.Wait()
	return nil
}
