package store

import (
	"encoding/binary"
	"errors"
	"testing/synctest"

	"github.com/duelog/duelog/commitlog"
)

// simKeys are the keys of the simulation's messages: one that no other has, and one
// that every fourth has. It is Options.Keys too, so payload may be damaged.
func simKeys(payload []byte, dst []uint64) []uint64 {
	if len(payload) < 8 {
		return dst
	}
	id := binary.LittleEndian.Uint64(payload)
	return append(dst, simKey(id), simKey(id%4|1<<40))
}

func simKey(n uint64) uint64 { return n * 0x9E3779B97F4A7C15 }

// rekey notes what the options of the next start do to the key index: switched off
// it forgets everything.
func (m *sim) rekey() {
	if m.opts.Keys != nil {
		return
	}
	for _, g := range m.msgs {
		g.keyed = false
	}
}

// checkKeys checks that the keys lead to what is there: after a start of everything,
// else of what is new and a part of the rest.
func (m *sim) checkKeys() {
	if m.s == nil || m.opts.Keys == nil || m.disk.burnt() {
		return
	}
	for _, g := range m.msgs {
		if g.step == m.step || m.started || (g.id+m.step)%8 == 0 {
			m.checkKey(g)
		}
	}
	m.started = false
}

func (m *sim) checkKey(g *simMsg) {
	locs := m.lookup(g)
	switch {
	case len(locs) > 1:
		m.t.Fatalf("step %d: the key of %v leads to it %d times: %#x", m.step, g, len(locs), locs)
	case len(locs) == 1 && g.refused:
		m.t.Fatalf("step %d: %v was refused, and its key leads to it", m.step, g)
	case len(locs) == 0 && g.keyed && m.mustBeThere(g):
		m.t.Fatalf("step %d: the key of %v does not lead to it", m.step, g)
	case len(locs) == 1:
		m.checkState(g, locs[0])
	}
}

// mustBeThere tells whether the bytes of a message are promised to be readable.
func (m *sim) mustBeThere(g *simMsg) bool {
	if g.doubt || g.orphan || g.q.doubt || g.cancelled || g.cancelDoubt {
		return false
	}
	return g.aliveMs(&m.opts) > m.maxMs || !g.seen && g.goneMs == 0
}

// lookup returns where the key of g leads to it.
func (m *sim) lookup(g *simMsg) (locs []commitlog.Loc) {
	want := simPayload(g.id, g.size)
	err := m.s.Lookup(simKey(uint64(g.id)), func(loc commitlog.Loc) bool {
		v, err := m.s.ReadAt(loc)
		if err != nil {
			if !errors.Is(err, ErrNotFound) {
				m.t.Fatalf("step %d: read %#x, to which a key leads: %v", m.step, uint64(loc), err)
			}
			return true
		}
		defer v.Release()
		if string(v.Bytes()) == string(want) {
			locs = append(locs, loc)
		}
		return true
	})
	if err != nil {
		m.t.Fatalf("step %d: look up %v: %v", m.step, g, err)
	}
	return locs
}

// checkState compares what the store says of a message that a key led to.
func (m *sim) checkState(g *simMsg, loc commitlog.Loc) {
	st, err := m.s.State(loc)
	now := m.now()
	forgotten := g.aliveMs(&m.opts) <= m.maxMs // a cancellation too is kept no longer
	fired := g.seen && !g.orphan && now > g.goneMs+1000 && m.backs == 0 && m.s.backlogSince.Load() == 0
	switch {
	case err != nil:
		m.t.Fatalf("step %d: state of %v at %#x: %v", m.step, g, uint64(loc), err)
	case g.cancelDoubt || g.doubt:
	case st.Cancelled != g.cancelled && !forgotten && !g.orphan:
		m.t.Fatalf("step %d: state of %v: %+v", m.step, g, st)
	case !g.seen && !g.cancelled && !st.Pending && g.goneMs == 0 && !g.q.doubt:
		m.t.Fatalf("step %d: %v has not fired, its state says %+v", m.step, g, st)
	case fired && st.Pending:
		m.t.Fatalf("step %d: %v has fired, its state says %+v", m.step, g, st)
	case !g.orphan && !g.q.doubt && (st.Queue == nil || st.Queue.key != g.q.key):
		m.t.Fatalf("step %d: %v of queue %v is in another by its state: %+v", m.step, g, g.q.key, st)
	}
}

// deadKeysAreGone checks that nothing is kept to find what retention has removed.
func (m *sim) deadKeysAreGone() {
	m.s.kickKeys()
	synctest.Wait()
	for _, l := range m.s.keyLanes() {
		if l.keys == nil {
			continue
		}
		for _, ri := range l.keys.Runs() {
			if !covered(l.held(), ri) {
				m.t.Fatalf("step %d: run [%d, %d) of the key index of lane %d stays behind its messages", m.step, ri.Start, ri.End, l.id)
			}
		}
	}
}
