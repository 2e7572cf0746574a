package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing/synctest"
	"time"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/segment"
)

// simT is what a simulation needs of a test; *rapid.T and *testing.T have it.
type simT interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

// sim runs a store on a simulated disk in fake time beside a model of it. All
// its methods run on one goroutine in a synctest bubble.
type sim struct {
	t     simT
	dir   string
	disk  *simDisk
	clock *stepClock
	opts  Options
	s     *Store

	queues  map[queueKey]*simQueue
	msgs    []*simMsg   // by id
	orphans []*simMsg   // of deleted topics
	step    int         // number of the operation
	backs   int         // how often the clock was set back
	maxMs   int64       // latest wall clock ever
	refused bool        // messages were refused because the store was busy
	even    bool        // the same time passes whatever the options
	every   []*simQueue // in the order of their creation, deleted ones included
	jumbled bool        // firings were lost, so those that remain are out of order
	full    bool        // the disk has no space, or had none a moment ago
	rate    simBucket   // of what fires
	started bool        // since the keys were checked
	roughMs int64       // what is due until then may fire late
}

// simQueue is what is known of one incarnation of a queue.
type simQueue struct {
	key   queueKey
	slots map[int64]simSlot // that were seen
	end   int64             // slots before it were seen
	doubt bool              // its deletion was not acknowledged
	last  *simMsg           // that became visible since the last operation
}

type simSlot struct {
	d      Delivery
	msg    *simMsg // nil = void
	seenAt time.Time
}

// simMsg is one message that was handed to the store.
type simMsg struct {
	id, size int
	q        *simQueue
	fireMs   int64 // 0 = due at once
	doubt    bool  // not acknowledged, or not durably: it may be there or not
	step     int   // in which it was put
	backs    int   // as of sim when it was put
	putMs    int64 // the wall clock then
	loc      commitlog.Loc
	ackedAt  time.Time
	seen     bool
	goneMs   int64 // until then its payload must be readable, once it is visible
	keyed    bool  // its keys must lead to it
	orphan   bool  // its topic was deleted
	refused  bool  // it must not be there at all

	cancelled   bool // for good: it must never be seen
	cancelDoubt bool // it was cancelled, and nobody knows whether that counts
	cancelledAt time.Time
}

func (g *simMsg) String() string {
	return fmt.Sprintf("message %d (step %d, due %d, loc %#x, doubt %v, cancelled %v)", g.id, g.step, g.fireMs, uint64(g.loc), g.doubt, g.cancelled)
}

// startSim makes a simulation in an empty directory, with no store open.
func startSim(t simT, dir string, seed uint64, o Options) *sim {
	o.EnsureDefaults()
	m := &sim{
		t: t, dir: dir, opts: o, queues: map[queueKey]*simQueue{},
		clock: &stepClock{plainClock: newPlainClock(time.Hour)},
		disk:  newSimDisk(dir, rand.New(rand.NewPCG(seed, 1))),
	}
	m.opts.clock = m.clock
	if os.Getenv("DUELOG_SIM_VERBOSE") != "" {
		m.t = tracedT{t}
		m.trace("start: seed %d, %+v", seed, m.opts)
	}
	return m
}

// tracedT says on standard error at once why a simulation fails.
type tracedT struct{ simT }

func (t tracedT) Fatalf(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "failed: "+format+"\n", args...)
	t.simT.Fatalf(format, args...)
}

// trace tells what happens, if somebody wants to know.
func (m *sim) trace(format string, args ...any) {
	if _, wanted := m.t.(tracedT); wanted {
		fmt.Fprintf(os.Stderr, format+"\n", args...)
	}
}

// end lets go of everything, whatever state it is in.
func (m *sim) end() {
	m.disk.setFuse(0)
	if m.s != nil {
		_ = m.s.Close()
	}
	m.disk.stop()
}

func (m *sim) open() {
	s, err := Open(m.dir, &m.opts)
	if err != nil {
		m.t.Fatalf("open: %v", err)
	}
	m.s = s
}

// tryOpen opens the store unless the disk ends first.
func (m *sim) tryOpen() {
	s, err := Open(m.dir, &m.opts)
	if err != nil {
		m.mustBeCut(err)
		return
	}
	m.s = s
}

func (m *sim) now() int64 {
	now := m.clock.NowMs()
	m.maxMs = max(m.maxMs, now)
	return now
}

// simPayload is the payload of a message. Half of them can be compressed.
func simPayload(id, size int) []byte {
	b := make([]byte, max(size, 8))
	binary.LittleEndian.PutUint64(b, uint64(id))
	rnd := rand.New(rand.NewPCG(uint64(id), 7))
	for i := 8; i < len(b); i++ {
		if b[i] = byte(rnd.Uint32()); id%2 == 0 {
			b[i] = "duel"[b[i]%4]
		}
	}
	return b
}

// queue returns the store's queue, nil if the disk ended before it was there.
func (m *sim) queue(k queueKey) (*Queue, *simQueue) {
	q, err := m.s.Queue(k.topic, k.num)
	if err != nil {
		m.mustBeCut(err)
		return nil, nil
	}
	sq := m.queues[k]
	if sq == nil {
		sq = &simQueue{key: k, slots: map[int64]simSlot{}}
		m.queues[k] = sq
		m.every = append(m.every, sq)
	}
	return q, sq
}

// mustBeCut accepts an error only after the end of the disk, or while it is full.
func (m *sim) mustBeCut(err error) {
	m.t.Helper()
	if !m.disk.burnt() && !m.excusedByFullDisk(err) {
		m.t.Fatalf("step %d: %v", m.step, err)
	}
}

// put hands n messages to the store at once, due at each of delays in turn, and
// waits until it knows their fate.
func (m *sim) put(k queueKey, n int, delays []int64, size int) {
	q, sq := m.queue(k)
	if q == nil {
		return
	}
	acks := &simAcks{m: m}
	now := m.now()
	for i := range n {
		delay := delays[i%len(delays)]
		g := &simMsg{id: len(m.msgs), size: max(size, 8), q: sq, doubt: true, step: m.step, backs: m.backs, putMs: now}
		if delay > 0 {
			g.fireMs = now + delay
		}
		acks.mu.Lock()
		m.msgs = append(m.msgs, g)
		acks.mu.Unlock()
		acks.Add(1)
		msg := Message{Queue: q, FireMs: now + delay, Tag: uint32(g.id), Payload: simPayload(g.id, size)}
		msg.Keys = simKeys(msg.Payload, nil)
		err := m.s.PutAsync(&msg, acks, uint64(g.id))
		if err == nil {
			continue
		}
		acks.Done()
		g.seen, g.refused = true, true
		if errors.Is(err, ErrBusy) {
			m.refused = true
		} else if m.full && errors.Is(err, ErrDiskFull) {
			continue
		} else if !errors.Is(err, ErrTooFar) {
			m.mustBeCut(err)
		} else if delay <= m.s.maxDelayMs {
			m.t.Fatalf("step %d: refused a delay of %d ms: %v", m.step, delay, err)
		}
	}
	acks.Wait()
	if acks.err != nil {
		m.mustBeCut(acks.err)
	}
}

// simAcks takes the acknowledgements of one put.
type simAcks struct {
	sync.WaitGroup
	m   *sim
	mu  sync.Mutex // PutDone runs on the lanes' goroutines
	err error
}

func (a *simAcks) PutDone(cookie uint64, r Result, err error) {
	defer a.Done()
	a.mu.Lock()
	defer a.mu.Unlock()
	g := a.m.msgs[cookie]
	if err != nil {
		a.err = err
		if errors.Is(err, ErrDiskFull) {
			g.seen, g.refused = true, true
		}
		return
	}
	g.doubt, g.fireMs, g.loc, g.ackedAt, g.keyed = false, r.FireMs, r.Loc, time.Now(), a.m.opts.Keys != nil
	if r.FireMs == 0 {
		g.goneMs = r.StoreMs
	}
}

func (m *sim) advance(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func (m *sim) setClock(d time.Duration) {
	if d < 0 {
		m.backs++
	}
	m.now()
	m.clock.step(d)
	m.roughMs = m.now()
	synctest.Wait()
}

func (m *sim) checkpoint() {
	if err := m.s.checkpoint(); err != nil {
		m.mustBeCut(err)
	}
}

// meddle has the keeper write a checkpoint whenever something became visible, in the middle of
// what the dispatcher does, until stop is called.
func (m *sim) meddle() (stop func()) {
	var running sync.WaitGroup
	done := make(chan struct{})
	for k := range m.queues {
		q := m.s.LookupQueue(k.topic, k.num)
		if q == nil {
			continue
		}
		w := make(chanWatcher, 1)
		running.Go(func() {
			defer q.Unwatch(w)
			for at := q.Max(); ; at = q.Max() {
				if q.Watch(at, w) {
					select {
					case <-w:
					case <-done:
						return
					}
				}
				m.s.queuesFull.Store(true)
				m.s.kickKeeper()
			}
		})
	}
	return func() { close(done); running.Wait() }
}

// flushIndex has the keeper write all memtables as runs.
func (m *sim) flushIndex() {
	m.s.near.mu.Lock()
	for _, l := range m.s.lanes {
		if l.index.Freeze() {
			l.bornMs = 0
		}
		l.freezeKeys()
	}
	m.s.near.mu.Unlock()
	m.s.kickKeeper()
	synctest.Wait()
}

func (m *sim) deleteTopic(topic string) {
	s := m.s
	err := s.DeleteTopic(topic)
	if err != nil {
		m.mustBeCut(err)
	}
	for k, q := range m.queues {
		switch {
		case k.topic != topic:
		case err != nil && s.LookupQueue(topic, k.num) != nil:
			q.doubt = true
		default: // with an error it is gone but for its files
			m.forget(q)
		}
	}
}

// forget drops a queue. Its messages stay pending until they are due.
func (m *sim) forget(q *simQueue) {
	delete(m.queues, q.key)
	for _, g := range m.msgs {
		if g.q != q {
			continue
		}
		if g.orphan = true; !g.seen {
			g.seen = true
			m.orphans = append(m.orphans, g)
		}
	}
}

func (m *sim) reopen(o Options) {
	err := m.s.Close()
	m.s = nil
	if err != nil {
		m.mustBeCut(err)
		return
	}
	m.opts = o
	m.opts.clock = m.clock
	if m.even && o.FireRate > 0 {
		m.opts.FireRate = simEvenRate
	}
	m.rekey()
	if m.tryOpen(); m.s != nil {
		m.again()
	}
}

// simOptions makes options from choices, each below the given number.
func simOptions(choose func(n int, what string) int) Options {
	oneOf := func(what string, values ...int64) int64 { return values[choose(len(values), what)] }
	o := Options{
		Flush:              commitlog.FlushPolicy(choose(2, "flush")),
		Writer:             segment.Writer(choose(2, "writer")),
		MemtableEntries:    int(oneOf("memtable entries", 10, 200, 1<<20)),
		MemtableAge:        time.Duration(oneOf("memtable age", int64(time.Minute), int64(10*time.Minute), int64(24*time.Hour))),
		NearEntries:        int(oneOf("near entries", 1024, 4096)),
		FireBatch:          int(oneOf("fire batch", 1, 7, 1000)),
		CheckpointEvery:    time.Duration(oneOf("checkpoint every", int64(10*time.Second), int64(10*time.Minute), int64(1000*time.Hour))),
		keeperTick:         time.Duration(oneOf("keeper tick", int64(time.Minute), int64(time.Hour))),
		EvacuateAfter:      time.Duration(oneOf("evacuate after", int64(time.Hour), int64(6*time.Hour))),
		evacuateAhead:      time.Duration(oneOf("evacuate ahead", int64(time.Hour), int64(24*time.Hour))),
		mergeAbove:         int(oneOf("merge above", 2, defaultMergeAbove)),
		coldBlock:          int(oneOf("cold block", 0, 1<<10)),
		coldRaw:            choose(3, "cold raw") == 0,
		quantum:            oneOf("quantum", 3, defaultQuantum),
		parkMax:            int(oneOf("park", 8, defaultParkMax)),
		manifestLimit:      oneOf("manifest limit", 4<<10, 64<<10),
		horizon:            time.Duration(oneOf("horizon", int64(time.Hour), int64(12*time.Hour))),
		FlushEvery:         time.Minute,
		Retention:          72 * time.Hour,
		ScheduledRetention: 48 * time.Hour,
		FireRate:           oneOf("fire rate", 0, 0, 2000, simEvenRate),
	}
	if choose(5, "keys") > 0 {
		o.Keys = simKeys
	}
	o.EnsureDefaults()
	return o
}

// simSizes sets what cannot change over the life of a store.
func simSizes(o *Options, choose func(n int, what string) int) {
	sizes := []int64{64 << 10, 256 << 10}
	o.SegmentSize, o.DelaySegmentSize, o.JournalSegmentSize = sizes[choose(2, "segment")], sizes[choose(2, "delay segment")], sizes[choose(2, "journal segment")]
}
