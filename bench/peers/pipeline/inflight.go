package pipeline

import (
	"fmt"
	"sync"
)

// Inflight is the window of a publisher whose acknowledgements name their message
// instead of coming in order. Any goroutine may use it.
type Inflight struct {
	limit int
	acked func(id uint64, err error)

	mu      sync.Mutex
	changed sync.Cond // with mu: ids shrank, or broken was set
	ids     map[uint64]struct{}
	broken  error
}

// NewInflight returns a window of limit messages that reports to acked.
func NewInflight(limit int, acked func(id uint64, err error)) *Inflight {
	f := &Inflight{limit: limit, acked: acked, ids: make(map[uint64]struct{})}
	f.changed.L = &f.mu
	return f
}

// Add waits until there is room for a message and notes that it is on its way.
// After Fail it returns an error, and the message will not be reported.
func (f *Inflight) Add(id uint64) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for f.broken == nil && len(f.ids) >= f.limit {
		f.changed.Wait()
	}
	if f.broken == nil {
		f.ids[id] = struct{}{}
	}
	return f.broken
}

// Done reports a message, unless that has happened or it was not added.
func (f *Inflight) Done(id uint64, err error) {
	if f.Forget(id) {
		f.acked(id, err)
	}
}

// Forget takes back an Add, for a message that was not sent after all. It returns
// whether the message was on its way.
func (f *Inflight) Forget(id uint64) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	_, ok := f.ids[id]
	delete(f.ids, id)
	f.changed.Signal()
	return ok
}

// Err returns why nothing more can be added, or nil.
func (f *Inflight) Err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.broken
}

// Fail reports all messages that are on their way and lets no more in. The first
// reason stays.
func (f *Inflight) Fail(err error) {
	f.mu.Lock()
	if f.broken == nil {
		f.broken = fmt.Errorf("publish: %w", err)
	}
	ids, why := f.ids, f.broken
	f.ids = make(map[uint64]struct{})
	f.changed.Broadcast()
	f.mu.Unlock()
	for id := range ids {
		f.acked(id, why)
	}
}
