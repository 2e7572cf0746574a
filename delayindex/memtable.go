package delayindex

import (
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
)

// chunkLen is the number of entries (128 KiB) that a scan can skip at once.
const chunkLen = 4096

type chunk [chunkLen]Entry

// chunkPool lets the lanes of a process share their chunks; what is not used
// goes back to the garbage collector.
var chunkPool = sync.Pool{New: func() any { return new(chunk) }}

// span is a range of fire times, both ends included.
type span struct{ lo, hi uint64 }

var emptySpan = span{lo: ^uint64(0)}

func (s *span) add(fire uint64) { s.lo, s.hi = min(s.lo, fire), max(s.hi, fire) }

// within reports whether all of s lies in [from, to).
func (s span) within(from, to uint64) bool { return s.lo >= from && s.hi < to }

// overlaps reports whether some of s may lie in [from, to).
func (s span) overlaps(from, to uint64) bool { return s.hi >= from && s.lo < to }

// memtable holds the entries of lane bytes [start, end) in lane order. It only
// grows, and only at its end: a view of its first n entries stays true. The
// fields are guarded by the set's Mu; frozen, nothing changes any more.
type memtable struct {
	start, end int64
	n          int
	chunks     []*chunk
	full       []span // of the chunks that are full
	tail       span   // of the last chunk, if it is not full
	lastLoc    uint64
	refs       atomic.Int32 // the index and each snapshot
}

func newMemtable(start int64) *memtable {
	m := &memtable{start: start, end: start, tail: emptySpan}
	m.refs.Store(1)
	return m
}

// add appends entries, which are in Loc order.
func (m *memtable) add(es []Entry, upTo int64) {
	if upTo < m.end {
		panic("BUG: delay index was told to cover less of its lane than before")
	}
	m.end = upTo
	for len(es) > 0 {
		at := m.n % chunkLen
		if at == 0 {
			m.chunks = append(m.chunks, chunkPool.Get().(*chunk))
		}
		n := copy(m.chunks[len(m.chunks)-1][at:], es)
		m.note(es[:n])
		es = es[n:]
	}
}

// note accounts for entries that were copied into the last chunk.
func (m *memtable) note(es []Entry) {
	tail, last := m.tail, m.lastLoc
	for i := range es {
		if es[i].Loc < last {
			panic("BUG: delay index was given entries out of loc order")
		}
		last = es[i].Loc
		tail.add(es[i].fire())
	}
	m.tail, m.lastLoc = tail, last
	m.n += len(es)
	if m.n%chunkLen == 0 {
		m.full = append(m.full, m.tail)
		m.tail = emptySpan
	}
}

// acquire returns a view of the entries that are there now. It is called under
// the set's Mu; the view is used without it and released by release.
func (m *memtable) acquire() memView {
	m.refs.Add(1)
	return memView{m: m, n: m.n, chunks: m.chunks, full: m.full, tail: m.tail}
}

// Range implements runset.Memtable.
func (m *memtable) Range() (start, end int64) { return m.start, m.end }

// Release gives up one reference; the last one recycles the chunks.
func (m *memtable) Release() {
	if m.refs.Add(-1) > 0 {
		return
	}
	for _, c := range m.chunks {
		chunkPool.Put(c)
	}
	m.chunks = nil
}

// memView is a memtable as it was at one moment.
type memView struct {
	m      *memtable
	n      int
	chunks []*chunk
	full   []span
	tail   span
}

func (v *memView) release() { v.m.Release() }

func (v *memView) at(pos int) *Entry {
	return &v.chunks[pos/chunkLen][pos%chunkLen]
}

// chunk returns the entries of the i-th chunk and the range of their times.
func (v *memView) chunk(i int) ([]Entry, span) {
	if i < len(v.full) {
		return v.chunks[i][:], v.full[i]
	}
	return v.chunks[i][:v.n%chunkLen], v.tail
}

// outline looks at the chunks that may have entries in [from, to). It returns
// the range of their fire times, cut to [from, to), and how many entries are in
// chunks that lie inside altogether. ok is false when there is no such chunk.
func (v *memView) outline(from, to uint64) (s span, inside int, ok bool) {
	s = emptySpan
	for i := range v.chunks {
		es, c := v.chunk(i)
		if !c.overlaps(from, to) {
			continue
		}
		s.add(c.lo)
		s.add(c.hi)
		if c.within(from, to) {
			inside += len(es)
		}
	}
	if s == emptySpan {
		return s, 0, false
	}
	return span{lo: max(s.lo, from), hi: min(s.hi, to-1)}, inside, true
}

// count returns the number of entries in [from, to).
func (v *memView) count(from, to uint64) int64 {
	total := 0
	for i := range v.chunks {
		es, c := v.chunk(i)
		switch {
		case c.within(from, to):
			total += len(es)
		case c.overlaps(from, to):
			total += countIn(es, from, to)
		}
	}
	return int64(total)
}

func countIn(es []Entry, from, to uint64) int {
	n := 0
	for i := range es {
		if es[i].fire()-from < to-from { // unsigned: also false below from
			n++
		}
	}
	return n
}

// memOrder is a selection of a view's entries in (fire time, loc) order. It
// holds 8 bytes per entry and refers to the view for the rest.
type memOrder struct {
	view *memView
	pack packing
	keys []uint64
}

// order selects the entries of [from, to) that keep accepts (nil: all).
func (v *memView) order(from, to uint64, keep func(*Entry) bool) memOrder {
	o := memOrder{view: v}
	bounds, inside, ok := v.outline(from, to)
	if !ok {
		return o
	}
	o.keys = make([]uint64, 0, inside)
	o.pack = packFor(bounds.lo, bounds.hi, v.n)
	sorted := o.collect(from, to, keep)
	switch {
	case sorted:
	case o.pack.packed():
		o.keys = sortKeys(o.keys, make([]uint64, len(o.keys)), o.pack.posBits)
	default:
		slices.SortFunc(o.keys, func(a, b uint64) int {
			return Compare(v.at(int(a)), v.at(int(b)))
		})
	}
	return o
}

// collect gathers the keys in lane order and reports whether that is also their
// fire order.
func (o *memOrder) collect(from, to uint64, keep func(*Entry) bool) (sorted bool) {
	sorted = o.pack.packed()
	last, scanned := uint64(0), 0
	for c := range o.view.chunks {
		es, bounds := o.view.chunk(c)
		if !bounds.overlaps(from, to) {
			continue
		}
		for i := range es {
			e := &es[i]
			if e.fire()-from >= to-from || (keep != nil && !keep(e)) {
				continue
			}
			k := o.pack.key(e.fire(), c*chunkLen+i)
			sorted = sorted && k >= last
			last = k
			o.keys = append(o.keys, k)
		}
		if scanned += len(es); scanned >= yieldEvery {
			scanned = 0
			runtime.Gosched()
		}
	}
	return sorted
}

// entry returns the i-th entry in fire order.
func (o *memOrder) entry(i int) *Entry { return o.view.at(o.pack.pos(o.keys[i])) }

// fill copies entries from the i-th on to dst and returns how many.
func (o *memOrder) fill(dst []Entry, i int) int {
	keys := o.keys[i:min(i+len(dst), len(o.keys))]
	for j, k := range keys {
		dst[j] = *o.view.at(o.pack.pos(k))
	}
	return len(keys)
}
