package delayindex

// sourceBatch is how many entries a merge takes from a source at once: 8 KiB.
const sourceBatch = 256

// Merge returns an iterator over the entries of all of its, in the order of
// Compare. It takes them over: Close closes them, each as soon as it has ended.
// An error of one source ends the merge after the entries before it.
func Merge(its ...Iterator) Iterator {
	switch len(its) {
	case 0:
		return emptyIterator{}
	case 1:
		return its[0]
	}
	m := &merger{sources: make([]source, len(its))}
	for i, it := range its {
		m.sources[i].it = it
	}
	return m
}

// source is one input of a merge.
type source struct {
	it   Iterator
	buf  []Entry
	rest []Entry // of buf, not merged yet
}

// refill fetches the next batch; more is false at the end.
func (s *source) refill() (more bool, err error) {
	if s.buf == nil {
		s.buf = make([]Entry, sourceBatch)
	}
	n, err := s.it.Next(s.buf)
	s.rest = s.buf[:n]
	if n == 0 {
		s.it.Close()
		s.buf = nil
	}
	return n > 0, err
}

// head is the next entry of a source, as far as its order is concerned.
type head struct {
	fire, arrival uint64
	source        *source
}

func headOf(s *source) head {
	e := &s.rest[0]
	return head{fire: e.fire(), arrival: arrival(e.Loc), source: s}
}

func (h *head) less(o *head) bool {
	return h.fire < o.fire || (h.fire == o.fire && h.arrival < o.arrival)
}

// before reports whether e comes before h.
func before(e *Entry, h *head) bool {
	f := e.fire()
	return f < h.fire || (f == h.fire && arrival(e.Loc) < h.arrival)
}

// merger merges through a binary heap. The heap's second level tells how far
// its first source may be copied without looking at the others: entries of
// equal delays come in long stretches.
type merger struct {
	sources []source
	heap    []head // of the sources that have entries left
	started bool
	err     error
}

// Next implements Iterator.
func (m *merger) Next(dst []Entry) (int, error) {
	if !m.started {
		m.start()
	}
	n := 0
	for n < len(dst) && len(m.heap) > 0 && m.err == nil {
		n += m.take(dst[n:])
	}
	if n == 0 {
		return 0, m.err
	}
	return n, nil
}

// Close implements Iterator.
func (m *merger) Close() {
	for i := range m.sources {
		m.sources[i].it.Close()
	}
	m.heap, m.started = nil, true
}

func (m *merger) start() {
	m.started = true
	m.heap = make([]head, 0, len(m.sources))
	for i := range m.sources {
		s := &m.sources[i]
		more, err := s.refill()
		if err != nil {
			m.err = err
			return
		}
		if more {
			m.heap = append(m.heap, headOf(s))
		}
	}
	for i := len(m.heap)/2 - 1; i >= 0; i-- {
		m.sink(i)
	}
}

// take copies entries from the first source for as long as it stays the first.
func (m *merger) take(dst []Entry) int {
	s := m.heap[0].source
	lead := s.rest[:min(len(s.rest), len(dst))]
	if rival := m.rival(); rival != nil {
		lead = leading(lead, rival)
	}
	n := copy(dst, lead)
	s.rest = s.rest[n:]
	m.settle(s)
	return n
}

// rival returns the head that comes second.
func (m *merger) rival() *head {
	switch {
	case len(m.heap) == 1:
		return nil
	case len(m.heap) > 2 && m.heap[2].less(&m.heap[1]):
		return &m.heap[2]
	}
	return &m.heap[1]
}

// leading returns the first entry and those after it that come before rival.
func leading(es []Entry, rival *head) []Entry {
	n := 1
	for n < len(es) && before(&es[n], rival) {
		n++
	}
	return es[:n]
}

// settle puts the first source where its next entry belongs, or removes it.
func (m *merger) settle(s *source) {
	if len(s.rest) == 0 {
		more, err := s.refill()
		if err != nil {
			m.err = err
			return
		}
		if !more {
			last := len(m.heap) - 1
			m.heap[0] = m.heap[last]
			m.heap = m.heap[:last]
			m.sink(0)
			return
		}
	}
	m.heap[0] = headOf(s)
	m.sink(0)
}

// sink moves the i-th head down to its place.
func (m *merger) sink(i int) {
	heap := m.heap
	if i >= len(heap) {
		return
	}
	h := heap[i]
	for {
		child := 2*i + 1
		if child >= len(heap) {
			break
		}
		if child+1 < len(heap) && heap[child+1].less(&heap[child]) {
			child++
		}
		if !heap[child].less(&h) {
			break
		}
		heap[i] = heap[child]
		i = child
	}
	heap[i] = h
}
