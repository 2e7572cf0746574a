package delayindex

import "sync"

const (
	// sourceEntries is how many entries the merge of runs takes from a source at
	// once: a block.
	sourceEntries = blockEntries
	// windowEntries is about how many entries it sorts at once: 2 MiB, with their
	// keys within the cache of a core.
	windowEntries = 64 << 10
	// ended stands for the fire time of the next entry of a source without one.
	ended = uint64(1) << 63
)

var sourcePool = sync.Pool{New: func() any { return new([sourceEntries]Entry) }}

// chainMerger merges sources of which each holds arrivals after those of the one
// before, as the runs and memtables of a lane are. Entries of one fire time are
// then in order when they are put one source after the other, so nothing is
// compared: what all sources have before some time is put together and radix
// sorted, stably. That costs the same for two sources and for five hundred.
//
// A source must be sorted; a run that is not is damaged and gives an error instead.
//
// A step takes what fires before limit, the earliest of the last times that the
// sources have in memory (or a few entries ahead in them, which bounds the step),
// and then, source by source, what fires at limit.
type chainMerger struct {
	sources []chainSource
	next    []uint64 // fire time of each source's next entry, or ended
	window  []Entry  // sorted, not yielded yet
	buf     []Entry  // of the window
	scratch []Entry
	tied    int    // source that yields its entries of limit next
	limit   uint64 // fire time of the ties
	started bool
	err     error
}

type chainSource struct {
	it   Iterator
	buf  *[sourceEntries]Entry
	rest []Entry // of buf
}

// mergeChain returns an iterator over the entries of all of its, whose arrivals
// follow each other in the order given. It takes them over as Merge does.
func mergeChain(its []Iterator) Iterator {
	switch len(its) {
	case 0:
		return emptyIterator{}
	case 1:
		return its[0]
	}
	m := &chainMerger{sources: make([]chainSource, len(its)), next: make([]uint64, len(its))}
	for i, it := range its {
		m.sources[i].it = it
	}
	m.tied = len(its)
	return m
}

// Next implements Iterator.
func (m *chainMerger) Next(dst []Entry) (int, error) {
	if !m.started {
		m.start()
	}
	n := 0
	for n < len(dst) {
		if len(m.window) == 0 && m.tied == len(m.sources) && !m.step() {
			break
		}
		k := copy(dst[n:], m.window)
		m.window = m.window[k:]
		n += k
		if len(m.window) == 0 {
			n += m.ties(dst[n:])
		}
	}
	if n == 0 {
		return 0, m.err
	}
	return n, nil
}

// Close implements Iterator.
func (m *chainMerger) Close() {
	for i := range m.sources {
		m.sources[i].close()
		m.next[i] = ended
	}
	m.window, m.buf, m.scratch = nil, nil, nil
	m.tied, m.started = len(m.sources), true
}

func (m *chainMerger) start() {
	m.started = true
	for i := range m.sources {
		if m.refill(i); m.err != nil {
			return
		}
	}
}

// refill fetches the next entries of source i, of which none are left.
func (m *chainMerger) refill(i int) {
	s := &m.sources[i]
	more, err := s.refill()
	if err != nil {
		m.fail(err)
		return
	}
	m.next[i] = ended
	if more {
		m.next[i] = s.rest[0].fire()
	}
}

// fail ends the merge after what is in the window.
func (m *chainMerger) fail(err error) {
	m.err, m.tied = err, len(m.sources)
}

// step sorts the next window and prepares the ties at its end; false is the end.
func (m *chainMerger) step() bool {
	if m.err != nil {
		return false
	}
	m.limit = m.horizon()
	if m.limit == ended {
		return false
	}
	m.collect()
	m.tied = 0
	return true
}

// horizon returns a time before which everything is in memory.
func (m *chainMerger) horizon() uint64 {
	ahead := max(windowEntries/len(m.sources), 1)
	limit := ended
	for i := range m.sources {
		if rest := m.sources[i].rest; len(rest) > 0 {
			limit = min(limit, rest[min(ahead, len(rest))-1].fire())
		}
	}
	return limit
}

// collect makes the window of what fires before limit. What comes from one source
// alone is in order and stays where it is.
func (m *chainMerger) collect() {
	m.buf, m.window = m.buf[:0], nil
	for i, fire := range m.next {
		if fire >= m.limit {
			continue
		}
		taken := m.takeBelow(i)
		if m.window == nil {
			m.window = taken
			continue
		}
		if len(m.buf) == 0 {
			m.buf = append(m.buf, m.window...)
		}
		m.buf = append(m.buf, taken...)
	}
	if len(m.buf) > 0 {
		m.sort()
	}
}

func (m *chainMerger) sort() {
	if len(m.scratch) < len(m.buf) {
		m.scratch = make([]Entry, cap(m.buf))
	}
	Sort(m.buf, m.scratch)
	m.window = m.buf
}

// takeBelow takes from source i what fires before limit; its last entry in memory
// does not.
func (m *chainMerger) takeBelow(i int) []Entry {
	s := &m.sources[i]
	n := countBelow(s.rest, m.limit)
	taken := s.rest[:n]
	s.rest = s.rest[n:]
	m.next[i] = s.rest[0].fire()
	return taken
}

// ties copies to dst what fires at limit, one source after the other.
func (m *chainMerger) ties(dst []Entry) int {
	n := 0
	for ; m.tied < len(m.sources); m.tied++ {
		for i := m.tied; m.next[i] == m.limit; {
			if n == len(dst) {
				return n
			}
			n += m.takeTies(i, dst[n:])
			if m.err != nil {
				return n
			}
		}
	}
	return n
}

// takeTies copies to dst what source i has at limit in memory.
func (m *chainMerger) takeTies(i int, dst []Entry) int {
	s := &m.sources[i]
	n := copy(dst, s.rest[:countBelow(s.rest, m.limit+1)])
	s.rest = s.rest[n:]
	if len(s.rest) == 0 {
		m.refill(i)
	} else {
		m.next[i] = s.rest[0].fire()
	}
	return n
}

// refill fetches the next batch; more is false at the end.
func (s *chainSource) refill() (more bool, err error) {
	if s.buf == nil {
		s.buf = sourcePool.Get().(*[sourceEntries]Entry)
	}
	n, err := s.it.Next(s.buf[:])
	s.rest = s.buf[:n]
	if n == 0 {
		s.close()
	}
	return n > 0, err
}

func (s *chainSource) close() {
	if s.buf != nil {
		sourcePool.Put(s.buf)
	}
	s.buf, s.rest = nil, nil
	s.it.Close()
}

// countBelow returns how many of the sorted entries fire before ms. It looks near
// the beginning first.
func countBelow(es []Entry, ms uint64) int {
	if len(es) == 0 || es[0].fire() >= ms {
		return 0
	}
	lo, hi := 0, 1 // es[lo] fires before ms
	for hi < len(es) && es[hi].fire() < ms {
		lo, hi = hi, 2*hi
	}
	hi = min(hi, len(es))
	for lo+1 < hi {
		if mid := (lo + hi) / 2; es[mid].fire() < ms {
			lo = mid
		} else {
			hi = mid
		}
	}
	return hi
}
