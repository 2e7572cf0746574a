package store

import (
	"encoding/binary"
	"testing/synctest"
	"time"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/consumequeue"
)

// retain is a pass of retention, which must have removed all that is past its
// time and nothing else.
func (m *sim) retain() {
	if err := m.s.retain(); err != nil {
		m.mustBeCut(err)
		return
	}
	now := m.now()
	for k := range m.queues {
		q := m.s.LookupQueue(k.topic, k.num)
		if q == nil {
			continue
		}
		var first [1]consumequeue.Entry // a Delivery that is dead does not say since when
		n, err := q.cq.Read(q.Min(), first[:])
		if err != nil {
			m.t.Fatalf("step %d: read queue %v at %d: %v", m.step, k, q.Min(), err)
		}
		d := Delivery{DeliverMs: first[0].DeliverMs, Scheduled: first[0].Flags&consumequeue.FlagScheduled != 0}
		if n > 0 && m.deadMs(&d) <= now {
			m.t.Fatalf("step %d: slot %d of queue %v was due to go at %d and is still there at %d", m.step, q.Min(), k, m.deadMs(&d), now)
		}
	}
}

// deadMs is when retention takes a slot.
func (m *sim) deadMs(d *Delivery) int64 {
	if d.Scheduled {
		return d.DeliverMs + m.opts.ScheduledRetention.Milliseconds()
	}
	return d.DeliverMs + m.opts.Retention.Milliseconds()
}

// expire goes beyond the retention of everything that is visible and checks that
// the bytes are gone: no sealed segment is left with nothing alive in it.
func (m *sim) expire() {
	for range 4 { // what becomes visible is seen before it goes
		m.advance((max(m.opts.Retention, m.opts.ScheduledRetention) + time.Minute) / 4)
		m.verify()
		if m.disk.burnt() {
			return
		}
	}
	for range 2 {
		m.flushIndex()
		m.checkpoint()
		m.retain()
	}
	if m.disk.burnt() || m.full || m.backs > 0 { // a clock set back keeps things longer
		return
	}
	type segment struct {
		lane uint8
		base int64
	}
	alive := map[segment]bool{}
	for _, g := range append(m.msgs, m.orphans...) {
		if g.doubt && !g.seen {
			return // nobody knows where it is, if it is
		}
		if g.loc != 0 && (!g.seen && !g.cancelled || g.doubt || g.aliveMs(&m.opts) > m.now()) {
			alive[segment{g.loc.Lane(), m.segmentOf(g.loc)}] = true
		}
	}
	for _, l := range m.s.lanes {
		for _, info := range l.log.Segments() {
			if info.Sealed && !alive[segment{l.id, info.Base}] {
				m.t.Fatalf("step %d: segment %d of lane %d has nothing alive and is still there: %+v", m.step, info.Base, l.id, info)
			}
		}
	}
	m.deadKeysAreGone()
}

func (m *sim) segmentOf(loc commitlog.Loc) int64 {
	size := m.opts.DelaySegmentSize
	if loc.Lane() == 0 {
		size = m.opts.SegmentSize
	}
	return loc.Offset() - loc.Offset()%size
}

// aliveMs is until when the bytes of a message are kept, at least.
func (g *simMsg) aliveMs(o *Options) int64 {
	if g.fireMs == 0 {
		return g.goneMs + o.Retention.Milliseconds()
	}
	return max(g.fireMs, g.goneMs) + o.ScheduledRetention.Milliseconds()
}

// readSlots reads the entries of a queue from a slot on.
func (m *sim) readSlots(q *Queue, from int64) []Delivery {
	var all []Delivery
	buf := make([]Delivery, 100)
	for {
		n, err := q.Read(from, buf)
		if err != nil {
			m.t.Fatalf("step %d: read queue %s/%d at %d: %v", m.step, q.Topic(), q.ID(), from, err)
		}
		if n == 0 {
			return all
		}
		all = append(all, buf[:n]...)
		from = buf[n-1].Slot + 1
	}
}

// verify waits until all that is due has fired, then checks everything.
func (m *sim) verify() {
	if m.s == nil {
		return // the disk ended
	}
	if m.even {
		time.Sleep(2 * time.Second)
	}
	for _, q := range m.every {
		q.last = nil
	}
	m.fillRate()
	synctest.Wait()
	if m.read(); m.full {
		return // and nobody knows when it will not be
	}
	for range 10_000 {
		if m.s.Err() != nil || m.missing() == nil {
			break
		}
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		m.read()
	}
	if err := m.s.Err(); err != nil {
		m.mustBeCut(err)
		return
	}
	if g := m.missing(); g != nil && !m.disk.burnt() {
		m.t.Fatalf("step %d: %v is not visible at %d", m.step, g, m.now())
	}
	m.jumbled = false
	m.checkPending()
	m.checkPendingList()
	m.checkKeys()
}

// missing returns a message that should be visible and is not.
func (m *sim) missing() *simMsg {
	now := m.now()
	for _, g := range m.msgs {
		gone := g.goneMs > 0 && g.aliveMs(&m.opts) <= now // it was seen once; then a power loss came
		if !g.seen && !g.doubt && g.fireMs <= now && !g.q.doubt && !gone && !g.cancelled && !g.cancelDoubt {
			return g
		}
	}
	return nil
}

func (m *sim) checkPending() {
	least, most := m.pending()
	for i := 0; i < 1000 && m.opts.FireRate > 0 && m.s.Pending() > most; i++ { // those of deleted topics fire no faster
		time.Sleep(20 * time.Millisecond)
		synctest.Wait()
		m.read()
		least, most = m.pending()
	}
	if n := m.s.Pending(); n < least || n > most {
		m.t.Fatalf("step %d: %d messages pending, want %d to %d", m.step, n, least, most)
	}
}

// pending is how many messages may be pending.
func (m *sim) pending() (least, most int64) {
	now := m.now()
	for _, g := range m.msgs {
		if g.fireMs > 0 && !g.seen && !g.cancelled {
			most++
			if !g.doubt && !g.cancelDoubt && g.goneMs == 0 {
				least++
			}
		}
	}
	for _, g := range m.orphans {
		if g.fireMs > now || m.backs > 0 {
			most++
		}
	}
	return least, most
}

// read takes in what became visible since the last time.
func (m *sim) read() {
	now := m.now()
	var fired []int64
	defer func() { m.checkRate(fired) }()
	for k, q := range m.queues {
		sq := m.s.LookupQueue(k.topic, k.num)
		if sq == nil {
			continue
		}
		var fresh []*simMsg
		for _, d := range m.readSlots(sq, max(q.end, sq.Min())) {
			if g := m.see(q, d, now); g != nil {
				fresh = append(fresh, g)
			}
			if d.Scheduled {
				fired = append(fired, d.DeliverMs)
			}
		}
		m.checkOrder(q, fresh)
	}
}

// see takes in one slot.
func (m *sim) see(q *simQueue, d Delivery, now int64) *simMsg {
	q.end = d.Slot + 1
	if d.Void {
		q.slots[d.Slot] = simSlot{d: d, seenAt: time.Now()}
		return nil
	}
	g := m.identify(q, d)
	q.slots[d.Slot] = simSlot{d: d, msg: g, seenAt: time.Now()}
	switch {
	case g.q != q:
		m.t.Fatalf("step %d: slot %d of queue %v holds %v of queue %v", m.step, d.Slot, q.key, g, g.q.key)
	case g.seen:
		m.t.Fatalf("step %d: slot %d of queue %v holds %v a second time", m.step, d.Slot, q.key, g)
	case g.fireMs > m.maxMs || d.Scheduled && g.fireMs > d.DeliverMs:
		m.t.Fatalf("step %d: %v was early: delivered %d, now %d", m.step, g, d.DeliverMs, now)
	case !g.doubt && d.Scheduled != (g.fireMs > 0):
		m.t.Fatalf("step %d: %v: scheduled is %v", m.step, g, d.Scheduled)
	case g.cancelled:
		m.t.Fatalf("step %d: slot %d of queue %v holds %v, which was cancelled", m.step, d.Slot, q.key, g)
	case d.Tag != uint32(g.id):
		m.t.Fatalf("step %d: %v has tag %d", m.step, g, d.Tag)
	}
	m.checkLateness(g, &d)
	g.seen = true
	g.loc = d.Loc
	if d.Scheduled {
		g.goneMs = max(g.fireMs, d.DeliverMs-lateSlack)
	} else {
		g.fireMs, g.goneMs = 0, d.DeliverMs
	}
	return g
}

// identify reads the message of a slot.
func (m *sim) identify(q *simQueue, d Delivery) *simMsg {
	v, err := m.s.Read(d.Loc, d.Size)
	if err != nil {
		m.t.Fatalf("step %d: read slot %d of queue %v, %+v: %v", m.step, d.Slot, q.key, d, err)
	}
	defer v.Release()
	b := v.Bytes()
	g := m.msgs[m.idOf(b)]
	if string(b) != string(simPayload(g.id, g.size)) {
		m.t.Fatalf("step %d: slot %d of queue %v: %v has another payload", m.step, d.Slot, q.key, g)
	}
	return g
}

// idOf returns which message a payload is.
func (m *sim) idOf(payload []byte) int {
	if len(payload) < 8 || binary.LittleEndian.Uint64(payload) >= uint64(len(m.msgs)) {
		m.t.Fatalf("step %d: %d bytes that nobody put: %.40x", m.step, len(payload), payload)
	}
	return int(binary.LittleEndian.Uint64(payload))
}

// checkOrder looks at scheduled messages that became visible one after the other
// and were all there before.
func (m *sim) checkOrder(q *simQueue, fresh []*simMsg) {
	for _, g := range fresh {
		if g.doubt || g.fireMs == 0 || g.step == m.step {
			continue
		}
		if q.last != nil && !m.jumbled && !q.last.before(g) {
			m.t.Fatalf("step %d: queue %v has %v in front of %v", m.step, q.key, q.last, g)
		}
		q.last = g
	}
}

// before tells whether g may stand in front of h in a queue. The order of equal
// fire times is not promised across lanes if the clock was set back in between.
func (g *simMsg) before(h *simMsg) bool {
	if g.fireMs != h.fireMs {
		return g.fireMs < h.fireMs
	}
	if g.loc.Lane() != h.loc.Lane() && (g.backs != h.backs || g.step == h.step) {
		return true
	}
	return g.id < h.id
}

// payloadsStay checks that the payload of each slot can be read until the slot itself goes.
func (m *sim) payloadsStay() {
	if m.s == nil {
		return
	}
	for k, q := range m.queues {
		sq := m.s.LookupQueue(k.topic, k.num)
		if sq == nil {
			continue
		}
		for slot, s := range q.slots {
			if s.msg == nil || m.deadMs(&s.d) <= m.maxMs {
				continue
			}
			if slot < sq.Min() {
				m.t.Fatalf("step %d: slot %d of queue %v is trimmed before its time: %+v", m.step, slot, k, s.d)
			}
			m.identify(q, s.d)
		}
	}
}

// finish lets everything become due, and checks that all of it is there, once
// more after a clean reopen.
func (m *sim) finish() {
	m.step++
	last := int64(0)
	for _, g := range append(m.msgs, m.orphans...) {
		last = max(last, g.fireMs)
	}
	if d := last - m.now(); d >= 0 {
		m.setClock(time.Duration(d+1) * time.Millisecond)
	}
	m.verify()
	for i := 0; i < 1000 && m.s.Pending() > 0; i++ { // those of deleted topics
		time.Sleep(20 * time.Millisecond)
	}
	if n := m.s.Pending(); n != 0 {
		m.t.Fatalf("%d messages pending at the end", n)
	}
	m.reopen(m.opts)
	m.verify()
	m.payloadsStay()
}
