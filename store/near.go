package store

import (
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
type near struct {
	mu sync.Mutex

	horizonMs  int64             // arrivals before it come here; a multiple of 1000
	ceilingMs  int64             // the horizon must not pass it: what fires later is being moved
	loadedMs   int64             // the index is loaded up to here; <= horizonMs
	preparedMs int64             // seconds before it belong to the dispatcher; <= loadedMs
	absorbed   [laneCount]int64  // lane offsets up to which arrivals were handed over
	buckets    map[int64]*bucket // by second since 1970
	fresh      []delayindex.Entry
	freshMinMs int64
	firstSec   int64 // of the earliest bucket
	count      int   // entries in buckets
}

// bucket is one second. Loaded entries arrived before all of arrivals, so that
// "loaded, then arrivals, stably sorted by ms" is fire-time order with ties in
// arrival order.
type bucket struct {
	loaded   []delayindex.Entry
	arrivals []delayindex.Entry
	// stream is set instead of loaded when the second alone would not fit the
	// wheel: it is then read from the index while it fires.
	stream delayindex.Iterator
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

func newNear() *near {
	return &near{buckets: map[int64]*bucket{}, freshMinMs: noDeadline, firstSec: noSecond, ceilingMs: noDeadline}
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
		b := n.bucket(fire / 1000)
		b.arrivals = append(b.arrivals, *e)
		n.count++
	}
}

func (n *near) bucket(sec int64) *bucket {
	b := n.buckets[sec]
	if b == nil {
		b = &bucket{}
		n.buckets[sec] = b
		n.firstSec = min(n.firstSec, sec)
	}
	return b
}

// loadLocked takes entries of the index in fire-time order.
func (n *near) loadLocked(es []delayindex.Entry) {
	for i := range es {
		b := n.bucket(es[i].FireMs() / 1000)
		b.loaded = append(b.loaded, es[i])
	}
	n.count += len(es)
}

// takeLocked removes the bucket of a second; nil when nothing is due in it.
func (n *near) takeLocked(sec int64) *bucket {
	b := n.buckets[sec]
	if b == nil {
		return nil
	}
	delete(n.buckets, sec)
	n.count -= len(b.loaded) + len(b.arrivals)
	n.firstSec = noSecond
	for sec := range n.buckets {
		n.firstSec = min(n.firstSec, sec)
	}
	return b
}

// wakeMsLocked is when the dispatcher has to look at what is here.
func (n *near) wakeMsLocked() int64 {
	return min(n.freshMinMs, n.firstSec*1000-prepareAhead)
}
