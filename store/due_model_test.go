package store

import (
	"slices"
	"sort"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/duelog/duelog/delayindex"
)

// dueModel is due and near, fed and drained as the dispatcher does it, beside
// the plain list of everything that was absorbed. The list is the index too.
type dueModel struct {
	t      *rapid.T
	due    *due
	near   *near
	shares []*share // of the topics
	nowMs  int64

	all   []delayindex.Entry // absorbed, in the order of arrival
	fired map[uint64]bool    // by loc
	mark  mark               // published last
	prior map[uint64]bool    // in the journal behind the mark at the last crash

	journal  [][]uint64 // locs of each batch
	coverage coverage

	parkMax, scanLimit int
	wheel              int // entries in the near wheel
	quantum            int64
}

// queueTopics are the topics of the queues: two queues each.
const queueTopics = 4

func TestDueFiresEverythingOnceInOrderWhoeverIsHeavy(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &dueModel{
			t: t, nowMs: 10_000_000, fired: map[uint64]bool{},
			parkMax: rapid.IntRange(1, 12).Draw(t, "park"), scanLimit: rapid.IntRange(1, 30).Draw(t, "scan"),
			quantum: rapid.Int64Range(1, 8).Draw(t, "quantum"), wheel: rapid.IntRange(1, 60).Draw(t, "wheel"),
		}
		m.mark = mark{firedMs: m.nowMs}
		m.open()
		defer func() { m.due.close() }()
		t.Repeat(map[string]func(*rapid.T){
			"arrive":        func(t *rapid.T) { m.arrive(t, 1, 4) },
			"arrive in one": func(t *rapid.T) { m.arrive(t, 20, 1) },
			"wait":          func(t *rapid.T) { m.nowMs += rapid.Int64Range(1, 700).Draw(t, "ms") },
			"set back":      func(t *rapid.T) { m.nowMs -= rapid.Int64Range(1, 300).Draw(t, "ms") },
			"tick":          func(t *rapid.T) { m.tick(rapid.IntRange(1, 10).Draw(t, "limit")) },
			"load":          func(*rapid.T) { m.load() },
			"crash":         func(*rapid.T) { m.crash() },
		})
		m.finish()
	})
}

func (m *dueModel) topicOf(queue uint32) *share { return m.shares[int(queue)%queueTopics] }

// open starts like recovery.startDispatcher does.
func (m *dueModel) open() {
	m.shares = nil
	for range queueTopics {
		m.shares = append(m.shares, &share{})
	}
	mk := m.mark
	m.due = newDue(m.topicOf, &mk)
	m.due.parkMax, m.due.scanLimit, m.due.backlog.quantum = m.parkMax, m.scanLimit, m.quantum
	if m.due.lag != nil {
		m.due.lag.parkMax = m.parkMax
	}
	already := func(e *delayindex.Entry) bool { return m.prior[e.Loc] || mk.done(e) }
	var late []delayindex.Entry
	for i := range m.all {
		if e := &m.all[i]; mk.passed(e) && !already(e) {
			late = append(late, *e)
		}
	}
	slices.SortStableFunc(late, func(a, b delayindex.Entry) int { return delayindex.Compare(&a, &b) })
	m.due.addLate(late)
	from := mk.reached() + 1
	horizon := (max(from, m.nowMs, m.newestFired())/1000 + 1) * 1000
	m.near = newNear(m.wheel)
	m.near.horizonMs, m.near.loadedMs, m.near.preparedMs = horizon, horizon, horizon
	m.near.absorbed[0] = m.tail()
	m.due.preparedMs = horizon
	rest := slices.DeleteFunc(m.index(from, horizon), func(e delayindex.Entry) bool { return already(&e) })
	m.due.addStream(&sliceIterator{rest: rest}, from)
	m.due.already = already
	m.due.heavyMs, m.coverage = max(m.newestFired(), mk.reached()), coverage{}
	m.cover()
}

// cover is the dispatcher's.
func (m *dueModel) cover() {
	m.coverage.add(coveredEnd{
		journal: int64(len(m.journal)), lightMs: int64(m.due.newest.when >> 16), heavyMs: m.due.heavyMs,
	}, m.mark.firedMs, m.mark.lightMs)
}

func (m *dueModel) newestFired() (ms int64) {
	for i := range m.all {
		if m.prior[m.all[i].Loc] {
			ms = max(ms, m.all[i].FireMs())
		}
	}
	return ms
}

// tail is where the next entry goes: entry i is at 10*(i+1).
func (m *dueModel) tail() int64 { return int64(len(m.all)+1) * 10 }

// index returns what was absorbed and fires in [from, to), in order.
func (m *dueModel) index(from, to int64) (es []delayindex.Entry) {
	for _, e := range m.all {
		if e.FireMs() >= from && e.FireMs() < to {
			es = append(es, e)
		}
	}
	slices.SortFunc(es, func(a, b delayindex.Entry) int { return delayindex.Compare(&a, &b) })
	return es
}

func (m *dueModel) arrive(t *rapid.T, least, topics int) {
	topic := rapid.IntRange(0, queueTopics-topics).Draw(t, "topic")
	span := rapid.SampledFrom([]int64{3, 400, 4000}).Draw(t, "span")
	for range rapid.IntRange(least, least+10).Draw(t, "n") {
		queue := topic + rapid.IntRange(0, topics-1).Draw(t, "among") + queueTopics*rapid.IntRange(0, 1).Draw(t, "queue")
		e := delayindex.Entry{
			When: delayindex.MakeWhen(m.nowMs+rapid.Int64Range(-2, span).Draw(t, "delay"), 0),
			Loc:  uint64(m.tail()), Queue: uint32(queue),
		}
		m.all = append(m.all, e)
		m.near.addLocked(&e)
		m.near.absorbed[0] = m.tail()
		m.checkWheel()
	}
}

// checkWheel holds the wheel's count against its buckets and its limit.
func (m *dueModel) checkWheel() {
	n := 0
	for sec, b := range m.near.buckets {
		require.True(m.t, !b.streamed || b.len() == 0)
		require.LessOrEqual(m.t, m.near.firstSec(), sec)
		n += b.len()
	}
	require.Equal(m.t, n, m.near.count)
	require.LessOrEqual(m.t, n, m.wheel)
}

// load raises the horizon by a second, as the loader does.
func (m *dueModel) load() {
	from := m.near.horizonMs
	if from > m.nowMs+3000 {
		return
	}
	m.near.horizonMs += 1000
	if es := m.index(from, from+1000); len(es) > m.wheel/2 {
		m.near.streamLocked(from / 1000)
	} else {
		m.near.loadLocked(es)
	}
	m.checkWheel()
	m.near.loadedMs = m.near.horizonMs
}

// tick is the dispatcher's.
func (m *dueModel) tick(limit int) {
	absorbed := m.drain()
	batch, err := m.due.take(nil, m.nowMs, limit)
	require.NoError(m.t, err)
	require.LessOrEqual(m.t, len(batch), limit)
	var locs []uint64
	for i := range batch {
		m.check(&batch[i])
		locs = append(locs, batch[i].Loc)
	}
	m.journal = append(m.journal, locs)
	m.cover()
	m.publish(absorbed)
	require.Less(m.t, len(m.coverage.ends), 8)
}

func (m *dueModel) drain() (absorbed int64) {
	n := m.near
	fresh := n.fresh
	n.fresh, n.freshMinMs = nil, noDeadline
	var prepare []func() // of what is in the index at this moment
	for {
		sec, b := n.nextLocked(min(n.loadedMs, (m.nowMs+prepareAhead)/1000*1000+1000))
		if b == nil {
			break
		}
		add := func() { m.due.addSecond(b, sec) }
		if b.streamed {
			es := m.index(sec*1000, sec*1000+1000)
			add = func() { m.due.addStream(&sliceIterator{rest: es}, sec*1000) }
		}
		prepare = append(prepare, add)
	}
	m.due.preparedMs = n.preparedMs
	open := func() {}
	if m.due.lag != nil {
		if from, to, ok := m.due.lag.wanted(); ok {
			es := m.index(from, to)
			open = func() { m.due.lag.open(&sliceIterator{rest: es}, from, to, nil) }
		}
	}
	m.due.addLate(fresh)
	open()
	for _, add := range prepare {
		add()
	}
	return m.tail()
}

// sliceIterator serves sorted entries from memory.
type sliceIterator struct{ rest []delayindex.Entry }

func (it *sliceIterator) Next(dst []delayindex.Entry) (int, error) {
	n := copy(dst, it.rest)
	it.rest = it.rest[n:]
	return n, nil
}

func (it *sliceIterator) Close() { it.rest = nil }

// check holds what was taken against the list: not early, once, and nothing of
// its queue before it.
func (m *dueModel) check(e *delayindex.Entry) {
	require.LessOrEqual(m.t, e.FireMs(), m.nowMs, "early")
	require.False(m.t, m.fired[e.Loc], "fired twice")
	m.fired[e.Loc] = true
	for i := range m.all {
		if o := &m.all[i]; o.Queue == e.Queue && !m.fired[o.Loc] {
			require.Positive(m.t, delayindex.Compare(o, e), "overtaken: %d/%d by %d/%d", o.FireMs(), o.Loc, e.FireMs(), e.Loc)
		}
	}
}

// publish does what dispatcher.settle does, and holds the mark against the list.
func (m *dueModel) publish(absorbed int64) {
	firedMs, lightMs, err := m.due.doneMs(m.nowMs)
	require.NoError(m.t, err)
	_, err = m.due.settle(m.nowMs)
	require.NoError(m.t, err)
	next := mark{firedMs: firedMs, lightMs: lightMs}
	if m.due.lag == nil {
		next.firedMs = lightMs
	} else {
		next.since = m.due.topics.since()
	}
	if next.firedMs < m.mark.firedMs || next.lightMs < m.mark.lightMs {
		return
	}
	next.absorbed[0] = absorbed
	next.journal = max(m.mark.journal, m.coverage.upTo(next.firedMs, next.lightMs))
	m.mark = next
	for _, locs := range m.journal[:next.journal] {
		for _, loc := range locs {
			if e := &m.all[loc/10-1]; !next.done(e) {
				require.Fail(m.t, "not covered", "%d/%d of queue %d fired, is not covered, and not in the journal behind the mark: F %d L %d since %v", e.FireMs(), loc, e.Queue, next.firedMs, next.lightMs, next.since)
			}
		}
	}
	for i := range m.all {
		if e := &m.all[i]; !m.fired[e.Loc] {
			require.False(m.t, next.done(e), "mark covers %d/%d of queue %d: F %d L %d", e.FireMs(), e.Loc, e.Queue, next.firedMs, next.lightMs)
		}
	}
}

func (m *dueModel) crash() {
	m.due.close()
	m.prior = map[uint64]bool{}
	for _, locs := range m.journal[m.mark.journal:] {
		for _, loc := range locs {
			m.prior[loc] = true
		}
	}
	m.open()
}

// finish lets time pass until everything has fired.
func (m *dueModel) finish() {
	m.nowMs = max(m.nowMs, m.newestOfAll()) + 5000
	for range 100 * (len(m.all) + 100) {
		m.load()
		m.tick(40)
		if len(m.fired) == len(m.all) && m.due.lag == nil {
			break
		}
	}
	var left []int
	for i, e := range m.all {
		if !m.fired[e.Loc] {
			left = append(left, i)
		}
	}
	require.Empty(m.t, left, "never fired")
	require.Nil(m.t, m.due.lag)
}

func (m *dueModel) newestOfAll() (ms int64) {
	for i := range m.all {
		ms = max(ms, m.all[i].FireMs())
	}
	return ms
}

// A topic in a backlog does not hold up one that has little to fire.
func TestALightTopicIsServedWithinAFewBatchesOfAHeavyOne(t *testing.T) {
	const heavy, light, limit = 50_000, 50, 250
	shares := []*share{{}, {}}
	now := int64(10_000_000)
	d := newDue(func(q uint32) *share { return shares[q] }, &mark{firedMs: now - 2000})
	defer d.close()
	d.backlog.quantum = 1250
	d.preparedMs = now + 1
	var es []delayindex.Entry
	for i := range heavy {
		es = append(es, delayindex.Entry{When: delayindex.MakeWhen(now-1000+int64(i)*1000/heavy, 0), Loc: uint64(i * 10)})
	}
	for i := range light {
		es = append(es, delayindex.Entry{When: delayindex.MakeWhen(now-1000+int64(i)*1000/light, 0), Loc: uint64((heavy + i) * 10), Queue: 1})
	}
	sort.Slice(es, func(i, j int) bool { return delayindex.Compare(&es[i], &es[j]) < 0 })
	index := slices.Clone(es)
	d.prepared = append(d.prepared, prepared{buf: es})

	var lightAt []int // in which batch
	taken := [2]int{}
	var last [2]position
	for batch := 0; taken[0]+taken[1] < heavy+light; batch++ {
		require.Less(t, batch, heavy)
		if d.lag != nil {
			if from, to, ok := d.lag.wanted(); ok {
				lo := sort.Search(len(index), func(i int) bool { return index[i].FireMs() >= from })
				hi := sort.Search(len(index), func(i int) bool { return index[i].FireMs() >= to })
				d.lag.open(&sliceIterator{rest: index[lo:hi]}, from, to, nil)
			}
		}
		got, err := d.take(nil, now, limit)
		require.NoError(t, err)
		for i := range got {
			q := got[i].Queue
			require.True(t, last[q].before(&got[i]) || taken[q] == 0)
			last[q] = positionOf(&got[i])
			taken[q]++
			if q == 1 {
				lightAt = append(lightAt, batch)
			}
		}
		_, _, err = d.doneMs(now)
		require.NoError(t, err)
		_, err = d.settle(now)
		require.NoError(t, err)
	}
	require.Equal(t, [2]int{heavy, light}, taken)
	require.LessOrEqual(t, lightAt[light-1], 9, "batches that the last light entry had to wait for: six until the other topic is heavy")
	require.Nil(t, d.lag)
}
