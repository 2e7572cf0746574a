package store

import (
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/duelog/duelog/internal/durable"
)

// simFarDelays are those of messages that are evacuated: more than four days.
var simFarDelays = []int64{97 * 3600_000, 98 * 3600_000, 30 * 24 * 3600_000, 200 * 24 * 3600_000, 366 * 24 * 3600_000}

// simLates are by how much, in ms, a message fires after its time: on both sides of
// what the store makes allowance for.
var simLates = []int64{0, 1, 9_000, 15_000, 24_000, 30_000, 50_000, 59_999, 61_000, 300_000}

// simFarTick is how often the keeper looks in a life that lasts for months.
const simFarTick = 4 * time.Hour

// evacuate puts messages of the far future and lets so much time pass that they move to
// cold files. With op.ahead the clock makes a step first, which may bring some of them so near
// that they stay behind; op.moving of them are cancelled on their way.
func (m *sim) evacuate(op simOp) {
	first := len(m.msgs)
	m.put(op.queue, op.n, op.delays, op.size)
	if op.ahead > 0 {
		m.setClock(op.ahead)
	}
	if m.disk.burnt() {
		return
	}
	moving := &simMoving{m: m, answers: map[*simMsg]simAnswer{}}
	for i, g := range m.msgs[first:] {
		if n := len(m.msgs) - first; i*op.moving/n < (i+1)*op.moving/n && !g.doubt && !g.refused && !g.seen {
			moving.targets = append(moving.targets, g)
		}
	}
	m.disk.watch(moving.before)
	for range 2 {
		m.advance(8 * time.Hour) // it is sealed after six, and evacuated after as many at most
		m.flushIndex()
	}
	m.disk.watch(nil)
	moving.takeIn()
}

// simMoving cancels messages between the moment in which they are all written to a cold
// file and the one in which the MANIFEST knows that they have moved.
type simMoving struct {
	m       *sim
	targets []*simMsg
	once    sync.Once
	running sync.WaitGroup
	answers map[*simMsg]simAnswer
}

type simAnswer struct {
	err error
	at  time.Time
}

// before runs in front of each operation on the disk, on the goroutine that does it.
func (c *simMoving) before(op durable.Op, path string) {
	if op == durable.OpRename && strings.HasPrefix(path, filepath.Join(logDir, "16")) {
		c.once.Do(func() {
			c.running.Add(1)
			defer c.running.Done()
			for _, g := range c.targets {
				c.answers[g] = simAnswer{c.m.s.Cancel(g.loc), time.Now()}
			}
		})
	}
}

func (c *simMoving) takeIn() {
	c.running.Wait()
	c.m.read() // what came before
	for _, g := range c.targets {
		if a, ok := c.answers[g]; ok {
			if c.m.cancelled(g, a.err); g.cancelled {
				g.cancelledAt = a.at
			}
		}
	}
}

// late sets the clock to lateMs after the time of a waiting message, the first one from
// that with id from on.
func (m *sim) late(from int, lateMs int64) {
	now := m.now()
	for i := range m.msgs {
		g := m.msgs[(from+i)%len(m.msgs)]
		if g.fireMs > now && !g.seen && !g.doubt && !g.cancelled && !g.cancelDoubt && !g.orphan {
			m.setClock(time.Duration(g.fireMs+lateMs-now) * time.Millisecond)
			return
		}
	}
}

// eve goes to the last millisecond of the slot that retention takes next, and one further, n times.
// Until then the payload of each slot is there, whatever passes of retention and compaction
// there are; after it the slot is gone.
func (m *sim) eve(n int) {
	for range n {
		dies := m.nextDeath()
		if dies == 0 || m.disk.burnt() {
			return
		}
		for m.now() < dies-1 && !m.disk.burnt() { // what becomes visible is seen before it goes
			m.advance(min(time.Duration(dies-1-m.now())*time.Millisecond, 12*time.Hour))
			m.read()
		}
		m.retain()
		m.payloadsStay()
		m.advance(time.Millisecond)
		m.read()
		m.retain()
		m.payloadsStay()
	}
}

// nextDeath is when the next slot goes, 0 if there is none.
func (m *sim) nextDeath() (dies int64) {
	now := m.now()
	for _, q := range m.queues {
		for _, s := range q.slots {
			if at := m.deadMs(&s.d); at > now && (dies == 0 || at < dies) {
				dies = at
			}
		}
	}
	return dies
}

// checkLateness checks that a message fired at its very millisecond, unless its time
// passed while the store was not open, its disk was full, its clock made a step, or it was
// not there yet.
func (m *sim) checkLateness(g *simMsg, d *Delivery) {
	if d.Scheduled && !g.doubt && g.goneMs == 0 && m.opts.FireRate == 0 && !m.full && g.fireMs > max(m.roughMs, g.putMs) && d.DeliverMs != g.fireMs {
		m.t.Fatalf("step %d: %v was delivered at %d, %d ms late", m.step, g, d.DeliverMs, d.DeliverMs-g.fireMs)
	}
}

// simFarStory is the life of messages of the far future: they wait in two segments, some
// are cancelled before they move, on their way and after it, they move to cold files, their runs
// are merged, they fire late and go. With a cut the clock makes a step before they move, so
// that a part of each segment has to stay.
func simFarStory(cut bool) []simOp {
	a, b := queueKey{"a", 0}, queueKey{"b", 1}
	far := []int64{98 * 3600_000, 30 * 24 * 3600_000, 200 * 24 * 3600_000}
	move := simOp{kind: "evacuate", queue: a, n: 45, delays: far, size: 2500, moving: 3}
	if cut {
		move.ahead = 80 * time.Hour
	}
	return []simOp{
		{kind: "put", queue: b, n: 3, delays: []int64{0, 3 * 3600_000, 97 * 3600_000}, size: 300},
		move,
		{kind: "cancel", n: 3, size: 20},
		{kind: "evacuate", queue: b, n: 30, delays: far[1:], size: 1500, moving: 2},
		{kind: "cancel", n: 3, size: 60},
		{kind: "late", size: 3, late: 50_000}, // the first that moved, without a cut
		{kind: "eve", n: 2},
		{kind: "reopen", same: true},
		{kind: "late", size: 4, late: 24_000},
		{kind: "checkpoint"},
		{kind: "eve", n: 1},
		{kind: "expire"},
		{kind: "late", late: 59_999},
		{kind: "eve", n: 2},
	}
}

// coldFiles counts the cold files and the segments that were cut.
func (m *sim) coldFiles() (files, cut int) {
	if m.s == nil {
		return 0, 0
	}
	m.s.catalog.view(func(st *catalogState) { cut = len(st.cuts) })
	return m.s.cold.files.Usage().Files, cut
}
