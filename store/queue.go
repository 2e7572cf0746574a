package store

import (
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/consumequeue"
)

// Queue is one queue of a topic: a sequence of slots, each holding the location
// of one message that is due. Slots are numbered from 0 without gaps; a void
// slot holds nothing and is to be skipped. Safe for concurrent use.
type Queue struct {
	s       *Store
	id      uint32
	key     queueKey
	cq      *consumequeue.Queue
	share   *share // of its topic
	deleted atomic.Bool

	scheduled, fired atomic.Int64 // since the store was opened

	// What the catalog says of the queue's files: slots before flushedTo are in
	// them; extentDirty tells that Min moved since. Set by the keeper.
	flushedTo   atomic.Int64
	extentDirty atomic.Bool

	// head is the first slot that the last pass of retention left. Guarded by
	// Store.checkpointMu.
	head struct {
		slot  int64
		entry consumequeue.Entry
	}

	// nwatch lets wake return without the lock when nobody waits.
	nwatch atomic.Int32
	watch  struct {
		sync.Mutex
		list []watcher // guarded by the mutex
	}
}

func newQueue(s *Store, id uint32, st queueState, cq *consumequeue.Queue, sh *share) *Queue {
	q := &Queue{s: s, id: id, key: st.key, cq: cq, share: sh}
	q.flushedTo.Store(st.next)
	return q
}

type watcher struct {
	after int64
	w     Watcher
}

// Watcher is told once that a queue has something new. Wake must not block:
// it runs on the goroutine that made the message visible.
type Watcher interface{ Wake() }

// Delivery is one visible slot of a queue.
type Delivery struct {
	Slot      int64
	Loc       commitlog.Loc
	Size      int32
	Tag       uint32
	DeliverMs int64 // when it became visible: store time, or the wall clock of its firing
	Scheduled bool  // it had a fire time
	Void      bool  // the slot holds no message; all but Slot is zero
}

// Topic returns the topic's name.
func (q *Queue) Topic() string { return q.key.topic }

// ID returns the queue's number within its topic.
func (q *Queue) ID() int32 { return q.key.num }

// Min returns the first slot that retention has not removed.
func (q *Queue) Min() int64 { return q.cq.Min() }

// Max returns the first slot that is not yet visible.
func (q *Queue) Max() int64 { return q.cq.Visible() }

// Scheduled returns how many messages with a fire time were stored since the
// store was opened.
func (q *Queue) Scheduled() int64 { return q.scheduled.Load() }

// Fired returns how many scheduled messages became visible since the store was opened.
func (q *Queue) Fired() int64 { return q.fired.Load() }

// Read fills dst with the visible slots from slot from on and returns how many
// there were. The slot of a message that is past its retention is void. Slots below Min are not readable: it starts at Min then.
func (q *Queue) Read(from int64, dst []Delivery) (int, error) {
	var buf [64]consumequeue.Entry
	now := q.s.clock.NowMs()
	total := 0
	for total < len(dst) {
		from = max(from, q.cq.Min())
		n, err := q.cq.Read(from, buf[:min(len(buf), len(dst)-total)])
		if errors.Is(err, consumequeue.ErrTrimmed) {
			continue // retention has just raised Min
		}
		for i := range n {
			dst[total+i] = q.delivery(from+int64(i), &buf[i], now)
		}
		total += n
		from += int64(n)
		if err != nil || n == 0 {
			return total, q.readError(err)
		}
	}
	return total, nil
}

// readError says why a queue that is gone cannot be read.
func (q *Queue) readError(err error) error {
	switch {
	case !errors.Is(err, consumequeue.ErrClosed):
		return err
	case q.deleted.Load():
		return ErrQueueDeleted
	}
	return ErrClosed
}

// delivery shows what a slot holds at now: a message past its retention is gone,
// though its slot may stand behind one that is not.
func (q *Queue) delivery(slot int64, e *consumequeue.Entry, now int64) Delivery {
	if e.Flags&consumequeue.FlagVoid != 0 || q.s.entryDead(e, now) {
		return Delivery{Slot: slot, Void: true}
	}
	return Delivery{
		Slot: slot, Loc: commitlog.Loc(e.Loc), Size: int32(e.Size), Tag: e.Tag,
		DeliverMs: e.DeliverMs, Scheduled: e.Flags&consumequeue.FlagScheduled != 0,
	}
}

// SearchTime returns the first slot that became visible at ms or later, and
// Max when there is none.
func (q *Queue) SearchTime(ms int64) int64 { return q.cq.SearchTime(ms) }

// Watch arranges for one call of w.Wake when Max exceeds after. It returns false,
// and registers nothing, when it does so already.
func (q *Queue) Watch(after int64, w Watcher) bool {
	q.watch.Lock()
	defer q.watch.Unlock()
	// The count is raised before Max is read: a wake that misses the count made
	// its slot visible before, so Max shows it here.
	q.nwatch.Add(1)
	if q.cq.Visible() > after || q.deleted.Load() {
		q.nwatch.Add(-1)
		return false
	}
	q.watch.list = append(q.watch.list, watcher{after, w})
	return true
}

// Unwatch withdraws w. After it returns w.Wake will not be called, but a call
// may be under way.
func (q *Queue) Unwatch(w Watcher) {
	q.watch.Lock()
	defer q.watch.Unlock()
	before := len(q.watch.list)
	q.watch.list = slices.DeleteFunc(q.watch.list, func(x watcher) bool { return x.w == w })
	q.nwatch.Add(int32(len(q.watch.list) - before))
}

// wake calls the watchers whose slot is visible.
func (q *Queue) wake() {
	if q.nwatch.Load() == 0 {
		return
	}
	visible := q.cq.Visible()
	deleted := q.deleted.Load()
	q.watch.Lock()
	defer q.watch.Unlock()
	kept := q.watch.list[:0]
	for _, x := range q.watch.list {
		if visible > x.after || deleted {
			x.w.Wake()
			q.nwatch.Add(-1)
			continue
		}
		kept = append(kept, x)
	}
	clear(q.watch.list[len(kept):])
	q.watch.list = kept
}

// touchedQueues collects the queues that a batch put slots into, each once.
// It belongs to one goroutine.
type touchedQueues struct {
	list []*Queue
	seen map[*Queue]struct{}
}

func (t *touchedQueues) add(q *Queue) {
	if n := len(t.list); n > 0 && t.list[n-1] == q {
		return
	}
	if t.seen == nil {
		t.seen = map[*Queue]struct{}{}
	}
	if _, ok := t.seen[q]; ok {
		return
	}
	t.seen[q] = struct{}{}
	t.list = append(t.list, q)
}

// wake wakes the watchers of all of them and starts anew.
func (t *touchedQueues) wake() {
	for _, q := range t.list {
		q.wake()
	}
	clear(t.list)
	t.list = t.list[:0]
	clear(t.seen)
}
