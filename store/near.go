package store

import (
	"cmp"
	"container/heap"
	"maps"
	"slices"
	"sync"

	"github.com/duelog/duelog/delayindex"
)

// The near wheel holds, in memory, what is due soon:
//
//	... fired │ prepared │   buckets, one per second   │ only in the delay index ...
//	          ·          ^ prepared                    ^ horizon
//
// An entry that arrives goes into the memtable always, and also here when its
// fire time lies before the horizon: into the bucket of its second, or, when
// that second is already prepared for firing, into fresh. Raising the horizon
// and taking the index snapshot that is loaded up to it happen in one critical
// section with the arrivals, so each entry comes here exactly once.
//
// It holds no more than limit entries. When they are too many, the largest seconds are
// let go: they are streamed, which means that nothing of them is kept here. All their
// entries are in the index, where an arrival comes in the same critical section as
// here, and they stay there: nothing of a second that is not prepared has fired, so no
// mark covers it and no flush leaves it out (I2), and what lies below the horizon is
// not moved to the cold lane (I3). A snapshot of the index that is taken in the
// critical section that prepares the second has all that came before; what comes
// later goes to fresh. So a streamed second is complete, each entry once. It is the
// same whether the loader found that the second does not fit, or arrivals filled it.
type near struct {
	mu sync.Mutex

	horizonMs  int64             // arrivals before it come here; a multiple of 1000
	ceilingMs  int64             // the horizon must not pass it: what fires later is being moved
	loadedMs   int64             // the index is loaded up to here; <= horizonMs
	preparedMs int64             // seconds before it belong to the dispatcher; <= loadedMs
	absorbed   [laneCount]int64  // lane offsets up to which arrivals were handed over
	buckets    map[int64]*bucket // by second since 1970
	secs       secHeap           // of the buckets
	fresh      []delayindex.Entry
	freshMinMs int64
	count      int // entries in buckets
	limit      int // the most of them
}

// bucket is one second. Loaded entries arrived before all of arrivals, so that
// "loaded, then arrivals, stably sorted by ms" is fire-time order with ties in
// arrival order.
type bucket struct {
	loaded   []delayindex.Entry
	arrivals []delayindex.Entry
	// streamed means that nothing is kept here: the second is read from the index
	// while it fires.
	streamed bool
}

func (b *bucket) len() int { return len(b.loaded) + len(b.arrivals) }

// entries returns all that are in memory. The bucket is not used any more.
func (b *bucket) entries() []delayindex.Entry {
	if len(b.loaded) == 0 {
		return b.arrivals
	}
	return append(b.loaded, b.arrivals...)
}

const (
	noDeadline = int64(1) << 62
	noSecond   = noDeadline / 1000
)

func newNear(limit int) *near {
	return &near{buckets: map[int64]*bucket{}, freshMinMs: noDeadline, ceilingMs: noDeadline, limit: limit}
}

// topLocked is how far the horizon may be raised, in whole seconds.
func (n *near) topLocked() int64 { return n.ceilingMs / 1000 * 1000 }

// addLocked takes an arrival; the caller holds mu.
func (n *near) addLocked(e *delayindex.Entry) {
	fire := e.FireMs()
	switch {
	case fire >= n.horizonMs:
	case fire < n.preparedMs:
		n.fresh = append(n.fresh, *e)
		n.freshMinMs = min(n.freshMinMs, fire)
	default:
		if b := n.bucket(fire / 1000); n.hasRoomLocked(b) {
			b.arrivals = append(b.arrivals, *e)
			n.count++
		}
	}
}

func (n *near) bucket(sec int64) *bucket {
	b := n.buckets[sec]
	if b == nil {
		b = &bucket{}
		n.buckets[sec] = b
		heap.Push(&n.secs, sec)
	}
	return b
}

// hasRoomLocked reports whether b takes another entry, and makes room if it does.
func (n *near) hasRoomLocked(b *bucket) bool {
	if !b.streamed && n.count >= n.limit {
		n.spillLocked()
	}
	return !b.streamed
}

// spillLocked lets the largest seconds, of equal ones the latest, be streamed until
// half of the room is free. It costs less than the additions that filled it did.
func (n *near) spillLocked() {
	largest := slices.SortedFunc(maps.Keys(n.buckets), func(a, b int64) int {
		return cmp.Or(cmp.Compare(n.buckets[b].len(), n.buckets[a].len()), cmp.Compare(b, a))
	})
	for _, sec := range largest {
		if n.count <= n.limit/2 {
			return
		}
		n.streamLocked(sec)
	}
}

// streamLocked lets a second be read from the index when it fires.
func (n *near) streamLocked(sec int64) {
	b := n.bucket(sec)
	n.count -= b.len()
	*b = bucket{streamed: true}
}

// loadLocked takes entries of the index in fire-time order.
func (n *near) loadLocked(es []delayindex.Entry) {
	for i := range es {
		if b := n.bucket(es[i].FireMs() / 1000); n.hasRoomLocked(b) {
			b.loaded = append(b.loaded, es[i])
			n.count++
		}
	}
}

// nextLocked removes the earliest bucket that begins before limitMs, which is a whole
// second and no later than loadedMs. Everything up to its end counts as prepared; when
// there is none, b is nil, everything up to limitMs. It never looks at empty seconds.
func (n *near) nextLocked(limitMs int64) (sec int64, b *bucket) {
	if sec = n.firstSec(); sec*1000 >= limitMs {
		n.preparedMs = max(n.preparedMs, limitMs)
		return 0, nil
	}
	heap.Pop(&n.secs)
	b = n.buckets[sec]
	delete(n.buckets, sec)
	n.count -= b.len()
	n.preparedMs = (sec + 1) * 1000
	return sec, b
}

// firstSec is the second of the earliest bucket.
func (n *near) firstSec() int64 {
	if len(n.secs) == 0 {
		return noSecond
	}
	return n.secs[0]
}

// wakeMsLocked is when the dispatcher has to look at what is here.
func (n *near) wakeMsLocked() int64 {
	return min(n.freshMinMs, n.firstSec()*1000-prepareAhead)
}

// secHeap is a heap of seconds, the earliest on top.
type secHeap []int64

func (h secHeap) Len() int           { return len(h) }
func (h secHeap) Less(i, j int) bool { return h[i] < h[j] }
func (h secHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *secHeap) Push(x any) { *h = append(*h, x.(int64)) }

// Pop implements heap.Interface.
func (h *secHeap) Pop() any {
	last := len(*h) - 1
	sec := (*h)[last]
	*h = (*h)[:last]
	return sec
}
