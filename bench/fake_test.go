package bench

import (
	"bytes"
	"container/heap"
	"context"
	"errors"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// fault says what a fake system does wrong with message 7 of every series.
type fault int

const (
	honest fault = iota
	loses
	repeats
	hurries
	alters
	refuses
	forgets // never acknowledges
	swaps   // stores another message twice instead
	delays  // by a minute
)

const victim = 7

// fake is a System in memory. It is a heap of due times and one goroutine.
type fake struct {
	fault fault
	place Place

	mu     sync.Mutex
	heap   dueHeap
	wake   chan struct{}
	closed bool
	starts int
	stored int64
	dir    string
}

func newFake(f fault) Constructor {
	return func(Mode) (System, error) { return &fake{fault: f, wake: make(chan struct{}, 1)}, nil }
}

func (f *fake) Name() string { return "fake" }
func (f *fake) Start(_ context.Context, dir string) error {
	f.starts++
	f.dir = dir
	return os.WriteFile(filepath.Join(dir, "log"), make([]byte, 8192), 0o600)
}
func (f *fake) Info() Info                    { return Info{Version: "1", Ack: "in memory"} }
func (f *fake) Place() Place                  { return f.place }
func (f *fake) PIDs() []int                   { return nil }
func (f *fake) Kill9() error                  { return nil }
func (f *fake) Restart(context.Context) error { f.starts++; return nil }
func (f *fake) Close() error                  { f.closed = true; return nil }

func (f *fake) Stats(context.Context) (Stats, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	st := Stats{StoredBytes: f.stored}
	for _, m := range f.heap {
		if m.scheduled {
			st.Pending++
		}
	}
	return st, nil
}

// ListPending implements Lister.
func (f *fake) ListPending(_ context.Context, visit func([]byte, time.Time) bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, m := range f.heap {
		if m.scheduled && !visit(m.body, m.due) {
			break
		}
	}
	return nil
}

func (f *fake) Publisher(_ context.Context, _ int, o PublisherOptions) (Publisher, error) {
	return &fakePublisher{f: f, acked: o.Acked}, nil
}

func (f *fake) Subscribe(_ context.Context, deliver func([]byte, time.Time)) (func(), error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { f.run(ctx, deliver) })
	return func() { cancel(); wg.Wait() }, nil
}

func (f *fake) run(ctx context.Context, deliver func([]byte, time.Time)) {
	for {
		wait := time.Hour
		f.mu.Lock()
		for len(f.heap) > 0 {
			if wait = time.Until(f.heap[0].due); wait > 0 {
				break
			}
			m := heap.Pop(&f.heap).(fakeMessage)
			f.mu.Unlock()
			for range m.times {
				deliver(m.body, time.Now())
			}
			f.mu.Lock()
		}
		f.mu.Unlock()
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return
		case <-f.wake:
			t.Stop()
		case <-t.C:
		}
	}
}

type fakePublisher struct {
	f      *fake
	acked  func(uint64, error)
	before fakeMessage
}

var errFake = errors.New("refused on purpose")

func (p *fakePublisher) Publish(id uint64, due time.Time, body []byte) error {
	m := fakeMessage{due: due, scheduled: !due.IsZero(), body: bytes.Clone(body), times: 1}
	if m.due.IsZero() {
		m.due = time.Now()
	}
	var err error
	if l, bad := parseBody(body, len(body)); bad != nil || l.id == victim {
		switch p.f.fault {
		case loses:
			m.times = 0
		case repeats:
			m.times = 2
		case hurries:
			m.due = time.Now()
		case alters:
			m.body[len(m.body)-1] ^= 1
		case refuses:
			err = errFake
		case delays:
			m.due = m.due.Add(time.Minute)
		case swaps:
			if m.scheduled {
				m = p.before
			}
		case forgets:
			return nil
		}
	}
	p.before = m
	if err == nil && m.times > 0 {
		p.f.mu.Lock()
		heap.Push(&p.f.heap, m)
		p.f.stored += 1000
		p.f.mu.Unlock()
		select {
		case p.f.wake <- struct{}{}:
		default:
		}
	}
	p.acked(id, err)
	return nil
}
func (p *fakePublisher) Flush() error { return nil }
func (p *fakePublisher) Close() error { return nil }

type fakeMessage struct {
	due       time.Time
	scheduled bool
	body      []byte
	times     int
}

type dueHeap []fakeMessage

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *dueHeap) Push(x any)        { *h = append(*h, x.(fakeMessage)) }
func (h *dueHeap) Pop() any {
	old := *h
	m := old[len(old)-1]
	*h = old[:len(old)-1]
	return m
}

// target is a fake with a fault, and a directory for its files.
func target(t *testing.T, f fault) (Target, *Options) {
	t.Helper()
	return Target{New: newFake(f), Name: "fake"}, &Options{Dir: t.TempDir(), Stall: 2 * time.Second}
}
