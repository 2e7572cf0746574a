package store

import (
	"testing/synctest"

	"github.com/duelog/duelog/commitlog"
)

// crash ends the store where the disk stops, takes what consumers have seen by
// then for a promise, and opens what is left.
//
// With again > 0 the next start crashes too, after so many operations on the disk,
// or as soon as it is done if it needs fewer.
func (m *sim) crash(power bool, again int) {
	m.disk.setFuse(0)
	m.close()
	if power {
		m.disk.lose(fatal{m.t})
		if m.opts.Flush == commitlog.Async {
			m.loseUnsynced()
		}
	}
	m.disk.setFuse(forever)
	if again > 0 {
		m.disk.setFuse(again)
		if m.tryOpen(); m.s != nil {
			m.again()
		}
		m.crash(power, 0)
		return
	}
	m.open()
	m.again()
}

// close takes in what consumers could see until now and ends the store.
func (m *sim) close() {
	if m.s == nil {
		return
	}
	synctest.Wait()
	m.read()
	_ = m.s.Close()
	m.s = nil
}

// fatal makes a simT a require.TestingT.
type fatal struct{ simT }

func (f fatal) Errorf(format string, args ...any) { f.Fatalf(format, args...) }
func (f fatal) FailNow()                          { f.Fatalf("failed") }

// loseUnsynced takes back what a store with asynchronous flush has not promised
// by now: what was acknowledged or seen after the last flush is in doubt.
func (m *sim) loseUnsynced() {
	m.jumbled = true
	limit := m.disk.ended.Add(-2 * m.opts.FlushEvery)
	for _, g := range m.msgs {
		g.doubt = g.doubt || g.ackedAt.After(limit)
		if g.cancelled && g.cancelledAt.After(limit) {
			g.cancelled, g.cancelDoubt = false, true
		}
	}
	for _, q := range m.queues {
		for slot, s := range q.slots {
			if s.seenAt.After(limit) {
				delete(q.slots, slot)
				q.end = min(q.end, slot)
				if s.msg != nil {
					s.msg.seen = false
				}
			}
		}
	}
}

// again checks, after the store was opened again, that all slots that were seen
// hold what they held.
func (m *sim) again() {
	synctest.Wait()
	m.started, m.roughMs = true, m.now()
	m.rate.opens++
	for k, q := range m.queues {
		sq := m.s.LookupQueue(k.topic, k.num)
		switch {
		case sq == nil && q.doubt:
			m.forget(q)
			continue
		case sq == nil:
			m.t.Fatalf("step %d: queue %v is gone", m.step, k)
		}
		q.doubt = false
		if sq.Max() < q.end {
			m.t.Fatalf("step %d: queue %v ends at %d, consumers have seen up to %d", m.step, k, sq.Max(), q.end)
		}
		for _, d := range m.readSlots(sq, sq.Min()) {
			if old, ok := q.slots[d.Slot]; ok && m.deadMs(&old.d) > m.maxMs && (old.d.Loc != d.Loc || old.d.Void != d.Void || old.d.Size != d.Size) {
				m.t.Fatalf("step %d: slot %d of queue %v held %+v, now %+v", m.step, d.Slot, k, old.d, d)
			}
		}
	}
}
