package keyindex

import (
	"sync"
	"sync/atomic"
)

const (
	// chunkLen is the number of entries (64 KiB) that a Find can skip at once.
	chunkLen = 4096
	// filterBits are 8 per entry: of the chunks without a hash one of 8 is searched.
	filterBits = 8 * chunkLen
)

// chunk is a piece of a memtable with a filter of its hashes.
type chunk struct {
	entries [chunkLen]Entry
	filter  [filterBits / 64]uint64
}

// chunkPool lets the lanes of a process share their chunks; what is not used
// goes back to the garbage collector.
var chunkPool = sync.Pool{New: func() any { return new(chunk) }}

func newChunk() *chunk {
	c := chunkPool.Get().(*chunk)
	c.filter = [filterBits / 64]uint64{}
	return c
}

// filterBit is where a hash stands in a filter. The multiplication makes up for
// hashes that differ in few bits.
func filterBit(hash uint64) (word int, bit uint64) {
	const golden = 0x9e3779b97f4a7c15
	n := hash * golden >> 49
	return int(n / 64), 1 << (n % 64)
}

func (c *chunk) mayHold(hash uint64) bool {
	word, bit := filterBit(hash)
	return c.filter[word]&bit != 0
}

// memtable holds the entries of lane bytes [start, end) in the order of arrival.
// It only grows, and only at its end: a view of its first n entries stays true.
// The fields are guarded by the set's Mu; frozen, nothing changes any more.
type memtable struct {
	start, end int64
	n          int
	chunks     []*chunk
	refs       atomic.Int32 // the index and each reader
}

func newMemtable(start int64) *memtable {
	m := &memtable{start: start, end: start}
	m.refs.Store(1)
	return m
}

func (m *memtable) add(es []Entry, upTo int64) {
	m.end = max(m.end, upTo) // a lane that has lost its end gives locations again
	for len(es) > 0 {
		at := m.n % chunkLen
		if at == 0 {
			m.chunks = append(m.chunks, newChunk())
		}
		c := m.chunks[len(m.chunks)-1]
		n := copy(c.entries[at:], es)
		for i := range es[:n] {
			word, bit := filterBit(es[i].Hash)
			c.filter[word] |= bit
		}
		es = es[n:]
		m.n += n
	}
}

// acquire returns a view of the entries that are there now. It is called under
// the set's Mu; the view is used without it and released by release.
func (m *memtable) acquire() memView {
	m.refs.Add(1)
	return memView{m: m, n: m.n, chunks: m.chunks}
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
}

// find calls visit with the locations of hash, newest first, until it returns
// false.
func (v *memView) find(hash uint64, visit func(loc uint64) bool) (more bool) {
	for i := len(v.chunks) - 1; i >= 0; i-- {
		es := v.chunk(i)
		if len(es) == chunkLen && !v.chunks[i].mayHold(hash) {
			continue // the filter of a chunk that still grows must not be read
		}
		for j := len(es) - 1; j >= 0; j-- {
			if es[j].Hash == hash && !visit(es[j].Loc) {
				return false
			}
		}
	}
	return true
}

func (v *memView) chunk(i int) []Entry {
	return v.chunks[i].entries[:min(chunkLen, v.n-i*chunkLen)]
}
