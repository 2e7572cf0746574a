package store

import (
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/internal/invariants"
)

// lag holds the heavy topics back: those that have fired more than their share of
// the present backlog. The others do not wait for them. They go on in due, which
// passes over the entries of heavy topics; here these fire, in their own order,
// with what the others leave.
//
// All of them are in the delay index until the mark covers them, so nothing needs
// to be kept. What due passed over is parked here for as long as it fits, and is
// read from the index again, in windows, when it did not fit. In fire time:
//
//	fired │ window, from the index │ to be read │ parked │ dropped ... │ not looked at
//	      ^ first()                ^ upTo       ^ parkedFrom  ^ parkedEnd   ^ lightMs
//
// Of each topic only what comes after its since waits, which is not before anything
// that was ever taken, nor before lightMs: what a window reads was never fired.
//
// An arrival that waits and comes before upTo, or among what is parked, joins late
// and is merged as it is in due. One in a part that is to be read is in the index
// already, and is dropped. All of that is decided before a window is opened, under
// the lock with which its snapshot is taken, so that it is exactly once in either.
type lag struct {
	topics  []*share
	lightMs int64 // due has looked at everything that fires before

	upTo     int64
	window   *pump // nil when none is open
	block    []delayindex.Entry
	buf      []delayindex.Entry // of block: what is to be fired
	windowMs int64              // nothing that the window still has fires before
	waiting  bool               // the window's reader had nothing ready

	parked     []delayindex.Entry
	parkedFrom int64
	parkedEnd  int64 // noDeadline while everything fits
	parkMax    int
	droppedMs  int64 // latest fire time of what was not parked

	late    *lateTree
	shareOf func(queue uint32) *share
}

// defaultParkMax is how many entries are parked in memory: 8 MiB.
const defaultParkMax = 256 << 10

// newLag starts with nothing waiting that comes before p.
func newLag(p position, parkMax int, shareOf func(uint32) *share) *lag {
	ms := int64(p.when >> 16)
	return &lag{
		lightMs: ms, upTo: ms, parkedFrom: ms, parkedEnd: noDeadline, parkMax: parkMax,
		late: newLateTree(), shareOf: shareOf,
	}
}

// resume makes l go on where a mark says that the last process was.
func (l *lag) resume(m *mark) {
	l.upTo, l.droppedMs = m.firedMs+1, m.lightMs
	l.lightMs, l.parkedFrom = m.lightMs+1, m.lightMs+1
}

// add lets what a topic has after p wait from now on.
func (l *lag) add(s *share, p position) {
	if end := endOf(l.lightMs - 1); p.less(end) {
		p = end // the rest before lightMs fires in due: a window may have passed it
	}
	l.restore(s, p)
}

// restore is add for a topic that waited in the last process; the least p counts.
func (l *lag) restore(s *share, p position) {
	if !s.heavy {
		s.heavy, s.since = true, p
		s.behind.Store(true)
		l.topics = append(l.topics, s)
		return
	}
	if p.less(s.since) {
		s.since = p
	}
}

// lookedUpTo says that due has no entry left that fires before ms.
func (l *lag) lookedUpTo(ms int64) { l.lightMs = max(l.lightMs, ms) }

// waits reports whether e of topic s may not fire in due.
func waits(e *delayindex.Entry, s *share) bool { return s.heavy && s.since.before(e) }

// park takes an entry that due comes to, if it has to wait.
func (l *lag) park(e *delayindex.Entry, s *share) bool {
	if !waits(e, s) {
		return false
	}
	fire := e.FireMs()
	if invariants.Enabled && fire < l.lightMs {
		panic("BUG: heavy entry comes after due was through with its time")
	}
	if fire >= l.parkedFrom && fire < l.parkedEnd && len(l.parked) == l.parkMax {
		l.overflow(fire)
	}
	if fire < l.parkedFrom || fire >= l.parkedEnd {
		l.droppedMs = max(l.droppedMs, fire)
		return true
	}
	l.parked = append(l.parked, *e)
	return true
}

// overflow drops everything from ms on. None of it was taken: ms is not before lightMs.
func (l *lag) overflow(ms int64) {
	l.parkedEnd = ms
	n := len(l.parked)
	for n > 0 && l.parked[n-1].FireMs() >= ms {
		n--
	}
	l.parked = l.parked[:n]
	l.late.dropFrom(ms)
}

// takeLate takes an arrival of topic s, if it has to wait and due will not come
// to it.
func (l *lag) takeLate(e *delayindex.Entry, s *share) bool {
	if !waits(e, s) {
		return false
	}
	fire := e.FireMs()
	switch {
	case fire >= l.lightMs:
		return false
	case fire < l.upTo, fire >= l.parkedFrom && fire < l.parkedEnd:
		l.late.add(e)
	default:
		l.droppedMs = max(l.droppedMs, fire)
	}
	return true
}

// wanted returns the range that has to be read from the index next.
func (l *lag) wanted() (fromMs, toMs int64, ok bool) {
	if l.window != nil || len(l.buf) > 0 || l.upTo >= l.parkedFrom {
		return 0, 0, false
	}
	toMs = min(l.lightMs, l.parkedFrom)
	return l.upTo, toMs, l.upTo < toMs
}

// open starts to read the wanted range, in which it has all that was absorbed.
func (l *lag) open(it delayindex.Iterator, fromMs, toMs int64, wake func()) {
	l.window, l.windowMs, l.upTo = startPump(it, wake), fromMs, toMs
}

// first returns before which time nothing is left to be fired; noDeadline means
// that it has caught up.
func (l *lag) first() int64 {
	first := l.late.first()
	switch {
	case len(l.buf) > 0:
		return min(first, l.buf[0].FireMs())
	case l.window != nil:
		return min(first, l.windowMs)
	case l.upTo < l.parkedFrom:
		return min(first, l.upTo)
	case len(l.parked) > 0:
		return min(first, l.parked[0].FireMs())
	}
	return min(first, l.parkedEnd)
}

// take appends entries that fire up to untilMs, in order, until there are limit of
// them in dst or the next ones are not there yet.
func (l *lag) take(dst []delayindex.Entry, untilMs int64, limit int, already func(*delayindex.Entry) bool) ([]delayindex.Entry, error) {
	untilMs = min(untilMs, l.lightMs-1)
	for len(dst) < limit {
		if err := l.advance(already); err != nil {
			return dst, err
		}
		next := l.next()
		headMs := l.headMs(*next)
		lateMs := l.late.first()
		switch {
		case len(*next) > 0 && headMs <= min(untilMs, lateMs):
			n := 1
			for n < len(*next) && n < limit-len(dst) && (*next)[n].FireMs() <= min(untilMs, lateMs) {
				n++
			}
			dst = append(dst, (*next)[:n]...)
			*next = (*next)[n:]
		case lateMs <= untilMs && lateMs < headMs:
			dst = append(dst, l.late.pop())
		default:
			return dst, nil
		}
	}
	return dst, nil
}

// next is what comes next of what is in memory, but for late entries.
func (l *lag) next() *[]delayindex.Entry {
	if l.window != nil || len(l.buf) > 0 || l.upTo < l.parkedFrom {
		return &l.buf
	}
	return &l.parked
}

// headMs returns before which time nothing comes of the window, the range to be
// read, or what is parked.
func (l *lag) headMs(next []delayindex.Entry) int64 {
	switch {
	case len(next) > 0:
		return next[0].FireMs()
	case l.window != nil:
		return l.windowMs
	case l.upTo < l.parkedFrom:
		return l.upTo
	}
	return l.parkedEnd
}

// advance goes on to the next block of the window, or behind what was parked.
func (l *lag) advance(already func(*delayindex.Entry) bool) error {
	l.waiting = false
	for len(l.buf) == 0 && l.window != nil && !l.waiting {
		if err := l.nextBlock(already); err != nil {
			return err
		}
	}
	if l.next() == &l.parked && len(l.parked) == 0 && l.parkedEnd != noDeadline {
		l.upTo, l.parkedFrom, l.parkedEnd = l.parkedEnd, max(l.parkedEnd, l.droppedMs+1), noDeadline
	}
	return nil
}

// nextBlock takes from the window's next block what waits and did not fire in
// the last process.
func (l *lag) nextBlock(already func(*delayindex.Entry) bool) error {
	l.window.giveBack(l.block)
	block, ready, err := l.window.poll()
	l.block, l.waiting = block, !ready
	switch {
	case err != nil || !ready:
		return err
	case len(block) == 0:
		l.window.close()
		l.window = nil
		return nil
	}
	l.windowMs = block[len(block)-1].FireMs()
	kept := block[:0]
	for i := range block {
		e := &block[i]
		if already != nil && already(e) {
			continue
		}
		if waits(e, l.shareOf(e.Queue)) {
			kept = append(kept, *e)
		}
	}
	l.buf = kept
	return nil
}

// wakeMs is when to look again: not for what has to wait for due, and hardly for
// the window's reader, which wakes the dispatcher itself.
func (l *lag) wakeMs(nowMs int64) int64 {
	first := l.first()
	switch {
	case l.waiting:
		return nowMs + loaderPoll
	case first >= l.lightMs:
		return noDeadline
	}
	return first
}

// finished reports whether everything that is due at nowMs has fired.
func (l *lag) finished(nowMs int64) bool {
	return l.lightMs > nowMs && l.first() == noDeadline
}

// end lets all topics go on in due.
func (l *lag) end() {
	for _, s := range l.topics {
		s.heavy = false
		s.behind.Store(false)
	}
	l.topics = nil
}

// overdue counts what is in memory and due at nowMs.
func (l *lag) overdue(nowMs int64) int {
	return l.late.due(nowMs) + dueIn(l.buf, nowMs) + dueIn(l.parked, nowMs)
}

func (l *lag) close() {
	if l.window != nil {
		l.window.close()
		l.window = nil
	}
}
