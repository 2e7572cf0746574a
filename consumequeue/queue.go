package consumequeue

import (
	"fmt"
	"sync"
	"sync/atomic"

	"github.com/duelog/duelog/internal/invariants"
)

// maxSlot keeps the byte position of every slot far from overflow.
const maxSlot = 1 << 56

// Queue is one queue of a topic. See the package comment for its slots.
type Queue struct {
	set *Set
	key queueKey
	dir string

	min, visible atomic.Int64 // written with mu held, read without
	next         atomic.Int64

	mu     sync.Mutex
	tail   tail  // guarded by mu
	synced int64 // slots below are durable in files; guarded by mu
	asked  bool  // NeedFlush was called since the last Flush; guarded by mu
	closed bool  // guarded by mu; set only with io held too

	io       sync.Mutex // held while files are written or removed
	opened   int64      // slots below were in files at open; never changes
	named    bool       // file and directory names are durable; guarded by io
	freed    int64      // slots below are holes, or in files that are gone; guarded by io
	unlinked int64      // files wholly below this slot are gone; guarded by io
	deleted  bool       // files are gone, and may by now be those of a successor; guarded by io
}

// Topic returns the topic of the queue.
func (q *Queue) Topic() string { return q.key.topic }

// ID returns the number of the queue in its topic.
func (q *Queue) ID() int32 { return q.key.id }

// Min returns the first slot that can be read.
func (q *Queue) Min() int64 { return q.min.Load() }

// Visible returns the end of what can be read: every slot in [Min, Visible)
// has been put.
func (q *Queue) Visible() int64 { return q.visible.Load() }

// Next returns the end of the slots given out.
func (q *Queue) Next() int64 { return q.next.Load() }

// Reserve gives out the next n slots and returns the first. Each must be put,
// else Visible never passes it. Slots that are not durable in their source
// when the process dies are given out again after the restart.
func (q *Queue) Reserve(n int) int64 {
	if n < 0 {
		panic("BUG: reserve of a negative number of slots")
	}
	return q.next.Add(int64(n)) - int64(n)
}

// Put fills a reserved slot. The caller has made it durable at its source.
// Putting a slot that was not reserved, or twice, is a bug of the caller and
// panics. After Close or Delete it does nothing.
func (q *Queue) Put(slot int64, e Entry) {
	q.mu.Lock()
	if q.closed {
		q.mu.Unlock()
		return
	}
	if visible, next := q.visible.Load(), q.next.Load(); slot < visible || slot >= next || q.tail.at(slot) != nil {
		q.mu.Unlock()
		panic(fmt.Sprintf("BUG: put of slot %d of queue %d of %s, visible %d, next %d", slot, q.ID(), q.Topic(), visible, next))
	}
	q.tail.put(slot, &e)
	q.advance()
	ask := q.mustAsk()
	q.mu.Unlock()
	if ask {
		q.set.opts.NeedFlush(q)
	}
}

// advance moves Visible over what has been put without a hole. mu is held.
func (q *Queue) advance() {
	v := q.visible.Load()
	for q.tail.at(v) != nil {
		v++
	}
	if invariants.Enabled {
		q.check(v)
	}
	q.visible.Store(v)
}

// mustAsk reports whether this is the moment to call NeedFlush. mu is held.
func (q *Queue) mustAsk() bool {
	if q.asked || q.set.opts.NeedFlush == nil || q.visible.Load()-q.synced < int64(q.set.opts.MaxTail) {
		return false
	}
	q.asked = true
	return true
}

// Dirty reports whether a Flush would have something to write.
func (q *Queue) Dirty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.synced < q.visible.Load()
}

// check panics if the slots are out of order. mu is held.
func (q *Queue) check(visible int64) {
	ok := q.min.Load() <= visible && q.tail.start <= q.synced && q.synced <= visible && visible <= q.next.Load()
	if !ok {
		panic(fmt.Sprintf("BUG: queue %d of %s: min %d, tail %d, synced %d, visible %d, next %d", q.ID(), q.Topic(),
			q.min.Load(), q.tail.start, q.synced, visible, q.next.Load()))
	}
}

func (q *Queue) close() {
	q.io.Lock()
	defer q.io.Unlock()
	q.discard()
}

// discard closes the queue and lets go of what it holds in memory. io is held.
func (q *Queue) discard() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.tail = tail{}
}
