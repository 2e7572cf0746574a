package store

import (
	"sort"

	"github.com/google/btree"

	"github.com/duelog/duelog/delayindex"
)

// due is what the dispatcher owns: the prepared seconds in fire-time order, and
// the arrivals for them, merged as they are taken. Dispatcher goroutine only.
type due struct {
	prepared []prepared
	late     *btree.BTreeG[lateEntry]
	seq      uint64
	scratch  []delayindex.Entry
}

// lateEntry is an arrival for a second that was already prepared. seq keeps
// ties in arrival order.
type lateEntry struct {
	e   delayindex.Entry
	seq uint64
}

// prepared is one sorted second, wholly in memory or streamed from the index.
type prepared struct {
	buf    []delayindex.Entry // what is left of the entries in memory
	stream delayindex.Iterator
	block  []delayindex.Entry // backing of buf when streaming
}

const streamBlock = 4096

func newDue() *due {
	return &due{late: btree.NewG(16, func(a, b lateEntry) bool {
		af, bf := a.e.FireMs(), b.e.FireMs()
		return af < bf || af == bf && a.seq < b.seq
	})}
}

// addLate takes arrivals for prepared seconds.
func (d *due) addLate(es []delayindex.Entry) {
	for i := range es {
		d.seq++
		d.late.ReplaceOrInsert(lateEntry{es[i], d.seq})
	}
}

// addSecond sorts a bucket and queues it behind the seconds before it.
func (d *due) addSecond(b *bucket) {
	entries := append(b.loaded, b.arrivals...)
	if cap(d.scratch) < len(entries) {
		d.scratch = make([]delayindex.Entry, len(entries))
	}
	delayindex.Sort(entries, d.scratch[:len(entries)])
	if b.stream == nil {
		d.prepared = append(d.prepared, prepared{buf: entries})
		return
	}
	d.addStream(delayindex.Merge(b.stream, &sliceIterator{rest: entries}))
}

// addStream queues an iterator behind the seconds before it and owns it.
func (d *due) addStream(it delayindex.Iterator) {
	d.prepared = append(d.prepared, prepared{stream: it, block: make([]delayindex.Entry, streamBlock)})
}

// peek returns the fire time of the next entry, noDeadline when there is none.
func (d *due) peek() (int64, error) {
	first := noDeadline
	if l, ok := d.late.Min(); ok {
		first = l.e.FireMs()
	}
	p, err := d.front()
	if p != nil {
		first = min(first, p.buf[0].FireMs())
	}
	return first, err
}

// take appends to dst up to limit entries with a fire time <= nowMs, in order.
func (d *due) take(dst []delayindex.Entry, nowMs int64, limit int) ([]delayindex.Entry, error) {
	for len(dst) < limit {
		p, err := d.front()
		if err != nil {
			return dst, err
		}
		lateMs := noDeadline
		l, haveLate := d.late.Min()
		if haveLate {
			lateMs = l.e.FireMs()
		}
		if p != nil && p.buf[0].FireMs() <= min(nowMs, lateMs) {
			dst = p.takeUpTo(dst, min(nowMs, lateMs), limit)
			continue
		}
		if lateMs > nowMs {
			return dst, nil
		}
		dst = append(dst, l.e)
		d.late.DeleteMin()
	}
	return dst, nil
}

// front returns the first prepared second that has entries left, or nil.
func (d *due) front() (*prepared, error) {
	for len(d.prepared) > 0 {
		p := &d.prepared[0]
		if len(p.buf) > 0 {
			return p, nil
		}
		if p.stream != nil {
			n, err := p.stream.Next(p.block)
			if err != nil {
				return nil, err
			}
			if p.buf = p.block[:n]; n > 0 {
				return p, nil
			}
			p.stream.Close()
		}
		d.prepared[0] = prepared{}
		d.prepared = d.prepared[1:]
	}
	d.prepared = nil
	return nil, nil
}

// takeUpTo moves the run of entries with a fire time <= ms, at least one.
func (p *prepared) takeUpTo(dst []delayindex.Entry, ms int64, limit int) []delayindex.Entry {
	n := 1
	for n < len(p.buf) && n < limit-len(dst) && p.buf[n].FireMs() <= ms {
		n++
	}
	dst = append(dst, p.buf[:n]...)
	p.buf = p.buf[n:]
	return dst
}

// overdue counts what is in memory and due at nowMs.
func (d *due) overdue(nowMs int64) int64 {
	n := d.late.Len()
	if l, ok := d.late.Max(); ok && l.e.FireMs() > nowMs {
		n = 0
		d.late.Ascend(func(l lateEntry) bool {
			n++
			return l.e.FireMs() <= nowMs
		})
		n--
	}
	for i := range d.prepared {
		buf := d.prepared[i].buf
		n += sort.Search(len(buf), func(i int) bool { return buf[i].FireMs() > nowMs })
	}
	return int64(n)
}

// held is how many entries are in memory.
func (d *due) held() int {
	n := d.late.Len()
	for i := range d.prepared {
		n += len(d.prepared[i].buf)
	}
	return n
}

func (d *due) close() {
	for _, p := range d.prepared {
		if p.stream != nil {
			p.stream.Close()
		}
	}
	d.prepared = nil
}

// sliceIterator serves sorted entries from memory.
type sliceIterator struct{ rest []delayindex.Entry }

func (it *sliceIterator) Next(dst []delayindex.Entry) (int, error) {
	n := copy(dst, it.rest)
	it.rest = it.rest[n:]
	return n, nil
}

func (it *sliceIterator) Close() { it.rest = nil }
