package keyindex

import (
	"math/bits"
	"runtime"
	"slices"
)

// windowEntries is about the most entries of a memtable that are copied and sorted
// at once, 8 MiB. Each window reads the whole memtable: more of them cost time.
const windowEntries = 512 << 10

// memSource yields the entries of a memtable in (hash, loc) order, a window at a
// time: those whose hashes agree in the upper bits. A copy of all would be the
// largest thing in the memory of a broker. A memtable of hashes that somebody has
// chosen may be one window all the same.
type memSource struct {
	view   *memView
	bits   int // how many upper bits tell the windows apart
	window int // to be sorted next
	rest   []Entry
	copies [2][]Entry
}

// newMemSource reads a view, which stays acquired meanwhile.
func newMemSource(v *memView) *memSource {
	s := &memSource{view: v, bits: bits.Len(uint(v.n / windowEntries))}
	evenly := v.n >> s.bits
	s.copies[0] = make([]Entry, 0, evenly+evenly/16+chunkLen)
	return s
}

// next implements source.
func (s *memSource) next(dst []Entry) (int, error) {
	n := 0
	for n < len(dst) {
		if len(s.rest) == 0 && !s.sortNext() {
			break
		}
		k := copy(dst[n:], s.rest)
		s.rest = s.rest[k:]
		n += k
	}
	return n, nil
}

// sortNext makes rest of the next window, which may be empty; false is the end.
func (s *memSource) sortNext() bool {
	if s.window == 1<<s.bits {
		return false
	}
	es := s.copies[0][:0]
	for i := range s.view.chunks {
		es = s.collect(es, s.view.chunk(i))
		runtime.Gosched()
	}
	if len(s.copies[1]) < len(es) {
		s.copies[1] = make([]Entry, cap(es))
	}
	s.copies[0] = es
	s.rest = sortEntries(es, s.copies[1][:len(es)], uint(s.bits))
	s.window++
	return true
}

// collect appends to es what chunk has of the window.
func (s *memSource) collect(es, chunk []Entry) []Entry {
	window, shift := uint64(s.window), 64-s.bits
	es = slices.Grow(es, len(chunk))
	n, room := 0, es[len(es):len(es)+len(chunk)]
	for i := range chunk {
		room[n] = chunk[i] // overwritten unless it counts: a branch would often be guessed wrongly
		if chunk[i].Hash>>shift == window {
			n++
		}
	}
	return es[:len(es)+n]
}
