package store

import (
	"errors"
	"sync"
	"time"

	"github.com/duelog/duelog/commitlog"
)

// cancel cancels up to n messages from the one with id from on: pending ones, or
// all that there are.
func (m *sim) cancel(from, n int, any bool) {
	m.read()
	for i := range m.msgs {
		g := m.msgs[(from+i)%len(m.msgs)]
		switch {
		case n == 0 || m.disk.burnt():
			return
		case g.doubt || g.orphan || g.q.doubt || g.goneMs > 0 && !g.seen:
			continue
		case !any && (g.seen || g.cancelled), (g.seen || g.cancelled || g.cancelDoubt) && g.aliveMs(&m.opts) <= m.maxMs:
			continue // past its retention: no answer has a meaning
		}
		n--
		m.cancelled(g, m.s.Cancel(m.locate(g)))
	}
}

// locate finds a message as its sender would: by its key, else in the list of what
// is pending, else where it was seen or put.
func (m *sim) locate(g *simMsg) commitlog.Loc {
	if g.keyed && m.mustBeThere(g) {
		if locs := m.lookup(g); len(locs) == 1 {
			return locs[0]
		}
		m.t.Fatalf("step %d: %v is not found by its key", m.step, g)
	}
	if g.fireMs > 0 && !g.seen && !g.cancelled {
		for p, err := range m.s.PendingAfter(PendingPosition{FireMs: g.fireMs}, g.fireMs+1) {
			if err != nil {
				m.t.Fatalf("step %d: list pending messages: %v", m.step, err)
			}
			if m.pendingID(&p) == g.id {
				return p.Loc
			}
		}
	}
	return g.loc
}

// cancelled takes in the answer to a cancellation.
func (m *sim) cancelled(g *simMsg, err error) {
	now := m.now()
	switch {
	case err == nil:
		if g.seen {
			m.t.Fatalf("step %d: %v was cancelled after it was seen", m.step, g)
		}
		if !g.cancelled {
			g.cancelled, g.cancelledAt = true, time.Now()
		}
	case errors.Is(err, ErrTooLate):
		takenMs := m.maxMs
		if m.backs > 0 {
			takenMs += 1000 // with the clock set back, the journal's time goes on by 1 ms with each start
		}
		if g.cancelled || !g.seen && !g.cancelDoubt && g.fireMs > takenMs {
			m.t.Fatalf("step %d: too late to cancel %v at %d", m.step, g, now)
		}
		g.cancelDoubt = false // an earlier attempt did not count: it fires
	case errors.Is(err, ErrNotFound):
		if !g.cancelled && !g.cancelDoubt && m.mustBeThere(g) {
			m.t.Fatalf("step %d: %v is not there to be cancelled: %v", m.step, g, err)
		}
	default:
		m.mustBeCut(err)
		if !g.seen && !g.cancelled {
			g.cancelDoubt = true
		}
	}
}

// cancelLate puts n messages that are due in a moment and cancels all of them around
// that moment, each on its own.
func (m *sim) cancelLate(k queueKey, n int) {
	first := len(m.msgs)
	m.put(k, n, []int64{5}, 8)
	var wg sync.WaitGroup
	var mu sync.Mutex
	answers := map[*simMsg]error{}
	for i, g := range m.msgs[first:] {
		if g.doubt || m.s == nil {
			continue
		}
		wg.Go(func() {
			time.Sleep(time.Duration(4+i%3) * time.Millisecond)
			err := m.s.Cancel(g.loc)
			mu.Lock()
			defer mu.Unlock()
			answers[g] = err
		})
	}
	wg.Wait()
	m.now()
	for _, g := range m.msgs[first:] {
		if err, ok := answers[g]; ok {
			m.cancelled(g, err)
		}
	}
}

// pendingID reads the id of a message in the list of what is pending.
func (m *sim) pendingID(p *PendingMessage) int {
	v, err := m.s.Read(p.Loc, p.Size)
	if err != nil {
		m.t.Fatalf("step %d: read pending message %+v: %v", m.step, p, err)
	}
	defer v.Release()
	return m.idOf(v.Bytes())
}

// checkPendingList checks that what waits is listed, once and in order, and nothing
// else; and that as many are counted.
func (m *sim) checkPendingList() {
	now := m.now()
	if m.disk.burnt() {
		return
	}
	listed := map[int]bool{}
	for p, err := range m.s.PendingAfter(PendingPosition{}, endOfTime) {
		if err != nil {
			m.t.Fatalf("step %d: list pending messages: %v", m.step, err)
		}
		id := m.pendingID(&p)
		g := m.msgs[id]
		switch {
		case listed[id]:
			m.t.Fatalf("step %d: %v is listed as pending twice", m.step, g)
		case g.cancelled:
			m.t.Fatalf("step %d: %v is listed as pending", m.step, g)
		case g.seen && !g.orphan && p.FireMs < now-1000 && m.backs == 0 && m.s.backlogSince.Load() == 0:
			m.t.Fatalf("step %d: %v has fired and is listed as pending at %d", m.step, g, now)
		}
		listed[id] = true
	}
	for _, g := range m.msgs {
		if g.fireMs > now && !g.seen && m.mustBeThere(g) && !listed[g.id] {
			m.t.Fatalf("step %d: %v is not listed as pending", m.step, g)
		}
	}
	m.checkHistogram(int64(len(listed)))
}

// checkHistogram checks that as many are counted as are listed, whatever the ranges.
func (m *sim) checkHistogram(listed int64) {
	for _, n := range []int64{1, 10} {
		step := 800 * 24 * time.Hour.Milliseconds() / n
		counts, err := m.s.PendingHistogram(max(m.now()-step*n/2, 0), step, int(n))
		if err != nil {
			m.t.Fatalf("step %d: count pending messages: %v", m.step, err)
		}
		total := int64(0)
		for _, c := range counts {
			total += c
		}
		if total != listed {
			m.t.Fatalf("step %d: %d messages are listed as pending, %d counted: %v", m.step, listed, total, counts)
		}
	}
}
