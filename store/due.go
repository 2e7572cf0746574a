package store

import (
	"sort"

	"github.com/google/btree"

	"github.com/duelog/duelog/delayindex"
)

// due is what the dispatcher owns: the prepared seconds in fire-time order, and
// the arrivals for them, merged as they are taken. While a topic is heavy (see
// lag) its entries are passed over here. Dispatcher goroutine only.
type due struct {
	prepared []prepared
	late     *lateTree
	// preparedMs is where the seconds end that were handed over.
	preparedMs int64

	topics  topics
	backlog backlog
	newest  position // of the latest entry that was ever taken
	lag     *lag     // nil when no topic is heavy
	already func(*delayindex.Entry) bool
	soon    func([]delayindex.Entry) // hears of each second that is sorted; any goroutine calls it

	heavyMs int64 // latest fire time that was taken from a lag
	turn    int   // of takes that are too small to be shared
	scratch []delayindex.Entry

	// Limits, smaller in tests.
	parkMax   int
	scanLimit int
}

// defaultScanLimit is how many entries of heavy topics one take passes over, so
// that it does not last long.
const defaultScanLimit = 256 << 10

// newDue needs to be told which topic a queue belongs to. The queues in m.since
// are behind: firing goes on where m says.
func newDue(topicOf func(queue uint32) *share, m *mark) *due {
	d := &due{
		late:       newLateTree(),
		topics:     topics{of: topicOf, more: map[uint32]*share{}},
		backlog:    backlog{quantum: defaultQuantum},
		newest:     endOf(m.reached()),
		preparedMs: m.reached() + 1,
		soon:       func([]delayindex.Entry) {},
		parkMax:    defaultParkMax,
		scanLimit:  defaultScanLimit,
	}
	if m.split() {
		d.lag = newLag(position{}, d.parkMax, d.topics.share)
		d.lag.resume(m)
		for queue, p := range m.since {
			d.lag.restore(d.topics.share(queue), p)
		}
	}
	return d
}

// setParkMax bounds what is parked, now and later.
func (d *due) setParkMax(n int) {
	d.parkMax = n
	if d.lag != nil {
		d.lag.parkMax = n
	}
}

// addLate takes arrivals for prepared seconds.
func (d *due) addLate(es []delayindex.Entry) {
	for i := range es {
		if d.lag == nil || !d.lag.takeLate(&es[i], d.topics.share(es[i].Queue)) {
			d.late.add(&es[i])
		}
	}
}

// peek returns the fire time of the next entry, noDeadline when there is none.
// Those that wait in the lag do not count.
func (d *due) peek(nowMs int64) (int64, error) {
	first := d.late.first()
	p, err := d.front(nowMs)
	if p != nil {
		first = min(first, p.first())
	}
	return first, err
}

// any reports whether something may be due.
func (d *due) any(nowMs int64) (bool, error) {
	first, err := d.peek(nowMs)
	return first <= nowMs || d.lag != nil && d.lag.first() <= nowMs, err
}

// doneMs returns up to which fire time nothing of what was handed over is left
// to be taken: of all topics, and of those that are not heavy.
func (d *due) doneMs(nowMs int64) (firedMs, lightMs int64, err error) {
	first, err := d.peek(nowMs)
	lightMs = min(nowMs, first-1, d.preparedMs-1)
	firedMs = lightMs
	if d.lag != nil {
		d.lag.lookedUpTo(lightMs + 1)
		firedMs = min(lightMs, d.lag.first()-1)
	}
	return firedMs, lightMs, err
}

// take appends to dst up to limit entries with a fire time <= nowMs, in order;
// those of heavy topics have an order of their own, and at least their part.
func (d *due) take(dst []delayindex.Entry, nowMs int64, limit int) ([]delayindex.Entry, error) {
	if d.lag == nil {
		return d.takeLight(dst, nowMs, limit)
	}
	dst, err := d.takeLight(dst, nowMs, d.lightPart(limit))
	if err != nil {
		return dst, err
	}
	// A late arrival for a heavy topic, from before it became heavy, goes first.
	_, lightMs, err := d.doneMs(nowMs)
	if err != nil {
		return dst, err
	}
	from := len(dst)
	dst, err = d.lag.take(dst, lightMs, limit, d.already)
	d.note(dst[from:], true)
	if err != nil {
		return dst, err
	}
	return d.takeLight(dst, nowMs, limit)
}

// lightPart is how much of a take the topics that are not heavy have first.
func (d *due) lightPart(limit int) int {
	if limit >= 4 {
		return limit - limit/4
	}
	if d.turn++; d.turn%4 == 0 {
		return 0
	}
	return limit
}

// takeLight is take for the topics that are not heavy.
func (d *due) takeLight(dst []delayindex.Entry, nowMs int64, limit int) ([]delayindex.Entry, error) {
	from := len(dst)
	scan := d.scanLimit
	for len(dst) < limit && scan > 0 {
		p, err := d.front(nowMs)
		if err != nil {
			return dst, err
		}
		lateMs := d.late.first()
		switch {
		case p != nil && p.first() <= min(nowMs, lateMs):
			if d.lag == nil {
				dst = p.takeUpTo(dst, min(nowMs, lateMs), limit)
			} else {
				dst = d.sift(dst, p, min(nowMs, lateMs), limit, &scan)
			}
			continue
		case lateMs <= nowMs:
			e := d.late.pop()
			scan--
			if d.lag == nil || !d.lag.park(&e, d.topics.share(e.Queue)) {
				dst = append(dst, e)
			}
			continue
		}
		break
	}
	d.note(dst[from:], false)
	return dst, nil
}

// sift is takeUpTo that passes over what waits.
func (d *due) sift(dst []delayindex.Entry, p *prepared, ms int64, limit int, scan *int) []delayindex.Entry {
	n := 0
	for n < len(p.buf) && len(dst) < limit && n < *scan && p.buf[n].FireMs() <= ms {
		e := &p.buf[n]
		if !d.lag.park(e, d.topics.share(e.Queue)) {
			dst = append(dst, *e)
		}
		n++
	}
	p.buf = p.buf[n:]
	*scan -= n
	return dst
}

// note remembers how far firing is and, in a backlog, who had how much of it.
func (d *due) note(taken []delayindex.Entry, heavy bool) {
	if len(taken) == 0 {
		return
	}
	d.noteNewest(taken)
	if heavy {
		d.heavyMs = max(d.heavyMs, taken[len(taken)-1].FireMs())
	}
	if !d.backlog.present {
		return
	}
	for len(taken) > 0 {
		n := 1
		for n < len(taken) && taken[n].Queue == taken[0].Queue {
			n++
		}
		s := d.topics.share(taken[0].Queue)
		if d.backlog.add(s, int64(n)) && !s.heavy {
			d.makeHeavy(s, d.newest)
		}
		taken = taken[n:]
	}
}

// noteNewest finds the latest of the entries, which are in fire-time order but
// for late ones.
func (d *due) noteNewest(taken []delayindex.Entry) {
	for i := len(taken) - 1; i >= 0; i-- {
		e := &taken[i]
		if e.When>>16 < d.newest.when>>16 {
			return
		}
		if d.newest.before(e) {
			d.newest = positionOf(e)
		}
	}
}

// makeHeavy lets the entries of a topic after p wait. No such entry was taken.
func (d *due) makeHeavy(s *share, p position) {
	if d.lag == nil {
		d.lag = newLag(p, d.parkMax, d.topics.share)
	}
	d.lag.add(s, p)
}

// settle ends the split when nothing that is due is left; it reports whether
// something is.
func (d *due) settle(nowMs int64) (left bool, err error) {
	first, err := d.peek(nowMs)
	left = first <= nowMs
	if d.lag != nil {
		left = true // until the lag is done and gone
		if first > nowMs && d.lag.finished(nowMs) {
			d.lag.end()
			d.lag, left = nil, false
		}
	}
	d.backlog.note(left, nowMs)
	return left, err
}

// front returns the first prepared second that has entries left, or nil. It may
// be one whose entries are still being read or sorted; then none is due yet.
func (d *due) front(nowMs int64) (*prepared, error) {
	for len(d.prepared) > 0 {
		p := &d.prepared[0]
		ended, err := p.ready(nowMs)
		if err != nil {
			return nil, err
		}
		if !ended {
			return p, nil
		}
		p.close()
		d.prepared[0] = prepared{}
		d.prepared = d.prepared[1:]
	}
	d.prepared = nil
	return nil, nil
}

// overdue counts what is in memory and due at nowMs.
func (d *due) overdue(nowMs int64) int64 {
	n := d.late.due(nowMs)
	for i := range d.prepared {
		n += dueIn(d.prepared[i].buf, nowMs)
		if d.prepared[i].fromMs <= nowMs {
			n += d.prepared[i].sorting
		}
	}
	if d.lag != nil {
		n += d.lag.overdue(nowMs)
	}
	return int64(n)
}

func dueIn(sorted []delayindex.Entry, nowMs int64) int {
	return sort.Search(len(sorted), func(i int) bool { return sorted[i].FireMs() > nowMs })
}

// held is how many entries are in memory.
func (d *due) held() int {
	n := d.late.len()
	for i := range d.prepared {
		n += len(d.prepared[i].buf) + d.prepared[i].sorting
	}
	return n
}

// streams is how many of the prepared seconds are read from the index.
func (d *due) streams() (n int) {
	for i := range d.prepared {
		if d.prepared[i].stream != nil {
			n++
		}
	}
	return n
}

func (d *due) close() {
	for i := range d.prepared {
		d.prepared[i].close()
	}
	d.prepared = nil
	if d.lag != nil {
		d.lag.close()
	}
}

// lateTree holds arrivals for a second that was already prepared, in fire-time
// order, ties in the order of add.
type lateTree struct {
	tree *btree.BTreeG[lateEntry]
	seq  uint64
}

type lateEntry struct {
	e   delayindex.Entry
	seq uint64
}

func newLateTree() *lateTree {
	return &lateTree{tree: btree.NewG(16, func(a, b lateEntry) bool {
		af, bf := a.e.FireMs(), b.e.FireMs()
		return af < bf || af == bf && a.seq < b.seq
	})}
}

func (t *lateTree) len() int { return t.tree.Len() }

func (t *lateTree) add(e *delayindex.Entry) {
	t.seq++
	t.tree.ReplaceOrInsert(lateEntry{*e, t.seq})
}

// first returns the earliest fire time, noDeadline when there is none.
func (t *lateTree) first() int64 {
	if l, ok := t.tree.Min(); ok {
		return l.e.FireMs()
	}
	return noDeadline
}

func (t *lateTree) pop() delayindex.Entry {
	l, _ := t.tree.DeleteMin()
	return l.e
}

// dropFrom removes the entries with a fire time of ms or later.
func (t *lateTree) dropFrom(ms int64) {
	for {
		l, ok := t.tree.Max()
		if !ok || l.e.FireMs() < ms {
			return
		}
		t.tree.DeleteMax()
	}
}

// due counts the entries with a fire time <= nowMs.
func (t *lateTree) due(nowMs int64) int {
	if l, ok := t.tree.Max(); !ok || l.e.FireMs() <= nowMs {
		return t.tree.Len()
	}
	n := 0
	t.tree.Ascend(func(l lateEntry) bool {
		if l.e.FireMs() > nowMs {
			return false
		}
		n++
		return true
	})
	return n
}
