package delayindex

import (
	"math"
	"sync/atomic"
)

// Snapshot is a fixed view of an Index: the entries that were added before it.
// Its methods may be called by several goroutines.
type Snapshot struct {
	index    *Index
	views    []memView // active and frozen memtables
	runs     []*run
	refs     atomic.Int32 // the holder and each open iterator
	released atomic.Bool
}

// Snapshot returns a view of what the index holds now. The caller releases it;
// until then dropped runs stay on disk and flushed memtables in memory. Of a
// closed index it is empty.
func (x *Index) Snapshot() *Snapshot {
	s := &Snapshot{index: x}
	s.refs.Store(1)
	s.runs = x.set.Acquire(func(frozen []*memtable, active *memtable) {
		s.views = make([]memView, 0, len(frozen)+1)
		for _, m := range frozen {
			s.views = append(s.views, m.acquire())
		}
		s.views = append(s.views, active.acquire())
	})
	return s
}

// Release gives the snapshot up. Iterators that it returned stay usable until
// they are closed. It may be called more than once.
func (s *Snapshot) Release() {
	if !s.released.Swap(true) {
		s.unref()
	}
}

// Count returns an upper bound of the number of entries that fire in
// [fromMs, toMs). Memtables are counted exactly; each run adds at most the
// entries of two blocks (4096), or of the hours in which the range begins and
// ends if those have fewer. No file is read.
func (s *Snapshot) Count(fromMs, toMs int64) int64 {
	from, to := clampRange(fromMs, toMs)
	if from >= to {
		return 0
	}
	var total int64
	for i := range s.views {
		total += s.views[i].count(from, to)
	}
	for _, r := range s.runs {
		if r.overlaps(from, to) {
			total += r.count(from, r.clip(to))
		}
	}
	return total
}

// Iter returns the entries that fire in [fromMs, toMs), in (fire time, Loc)
// order. The caller closes it. It holds a block, at most 64 KiB, per run with entries
// in the range, and 8 bytes per entry in the range that is still in a memtable
// (twice that while it sorts them, which is on first use).
func (s *Snapshot) Iter(fromMs, toMs int64) Iterator {
	from, to := clampRange(fromMs, toMs)
	if from >= to {
		return emptyIterator{}
	}
	s.ref()
	return &snapshotIterator{Iterator: mergeChain(s.sources(from, to)), snapshot: s}
}

// IterRuns is Iter over the runs alone, and of these only what pick accepts.
func (s *Snapshot) IterRuns(fromMs, toMs int64, pick func(*RunInfo) bool) Iterator {
	from, to := clampRange(fromMs, toMs)
	if from >= to {
		return emptyIterator{}
	}
	s.ref()
	return &snapshotIterator{Iterator: mergeChain(s.runSources(from, to, pick)), snapshot: s}
}

// ref takes a reference for an iterator.
func (s *Snapshot) ref() {
	s.refs.Add(1)
	if s.released.Load() {
		panic("BUG: iterator wanted from a released delay index snapshot")
	}
}

// Second returns the entries that fire in a second since the epoch: the chain
// of that second.
func (s *Snapshot) Second(sec int64) Iterator {
	sec = min(max(sec, math.MinInt64/1000+1), math.MaxInt64/1000-1)
	return s.Iter(sec*1000, (sec+1)*1000)
}

// sources returns an iterator for each part that may have entries in the range,
// in the order in which the entries arrived.
func (s *Snapshot) sources(from, to uint64) []Iterator {
	its := s.runSources(from, to, nil)
	for i := range s.views {
		if v := &s.views[i]; v.n > 0 {
			its = append(its, &memIterator{view: v, from: from, to: to})
		}
	}
	return its
}

// runSources returns an iterator for each run that may have entries in the range
// and that pick accepts; nil accepts all.
func (s *Snapshot) runSources(from, to uint64, pick func(*RunInfo) bool) []Iterator {
	var its []Iterator
	for _, r := range s.runs {
		if r.overlaps(from, to) && (pick == nil || pick(&r.info)) {
			its = append(its, &runIterator{run: r, from: from, to: r.clip(to)})
		}
	}
	return its
}

// unref gives up one reference; the last one releases memtables and runs.
func (s *Snapshot) unref() {
	if s.refs.Add(-1) > 0 {
		return
	}
	for i := range s.views {
		s.views[i].release()
	}
	s.index.set.Release(s.runs...)
}

// snapshotIterator keeps its snapshot alive until it is closed.
type snapshotIterator struct {
	Iterator
	snapshot *Snapshot
	closed   bool
}

// Close implements Iterator.
func (it *snapshotIterator) Close() {
	if it.closed {
		return
	}
	it.closed = true
	it.Iterator.Close()
	it.snapshot.unref()
}
