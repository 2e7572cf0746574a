package consumequeue

import (
	"log/slog"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"

	"github.com/duelog/duelog/internal/testutil"
)

// machine drives one queue, with crashes, beside a slice that says what each
// slot must hold.
type machine struct {
	dir  string
	opts Options
	s    *Set
	q    *Queue

	slots      []Entry // what each reserved slot holds
	put        []bool  // whether it does
	min        int64
	seq        uint64 // makes entries differ
	checkpoint [2]int64
}

func TestQueueBehavesLikeASlice(t *testing.T) {
	root := testutil.FastDir(t)
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(root, "cq")
		require.NoError(t, err)
		defer os.RemoveAll(dir)
		m := &machine{dir: dir, opts: Options{
			FileEntries:  rapid.SampledFrom([]int{16, 64, 128, 300}).Draw(t, "file"),
			MaxOpenFiles: 2,
			Logger:       slog.New(slog.DiscardHandler),
		}}
		m.open(t, 0, 0)
		defer func() { require.NoError(t, m.s.Close()) }()
		t.Repeat(map[string]func(*rapid.T){
			"reserve": m.reserve,
			"put":     m.putSome,
			"putAll":  m.putAll,
			"flush":   m.flush,
			"trim":    m.trim,
			"read":    m.read,
			"search":  m.search,
			"crash":   m.crash,
			"":        m.check,
		})
	})
}

func (m *machine) open(t *rapid.T, min, next int64) {
	var err error
	m.s, err = Open(m.dir, &m.opts)
	require.NoError(t, err)
	m.q, err = m.s.Queue("t", 0, min, next)
	require.NoError(t, err)
}

// next returns an entry unlike all others; times rise with the slots.
func (m *machine) next(slot int64) Entry {
	m.seq++
	return Entry{Loc: m.seq, Size: uint32(m.seq), Tag: uint32(m.seq * 7), DeliverMs: slot * 2}
}

func (m *machine) visible() int64 {
	for i, ok := range m.put {
		if !ok {
			return int64(i)
		}
	}
	return int64(len(m.put))
}

func (m *machine) reserve(t *rapid.T) {
	n := rapid.IntRange(0, 200).Draw(t, "n")
	require.Equal(t, int64(len(m.slots)), m.q.Reserve(n))
	m.slots = append(m.slots, make([]Entry, n)...)
	m.put = append(m.put, make([]bool, n)...)
}

// putSome fills some of the open slots in any order.
func (m *machine) putSome(t *rapid.T) {
	open := m.openSlots()
	if len(open) == 0 {
		t.Skip("all slots are put")
	}
	open = rapid.Permutation(open).Draw(t, "order")
	for _, slot := range open[:rapid.IntRange(1, len(open)).Draw(t, "n")] {
		m.putOne(slot)
	}
}

func (m *machine) putAll(*rapid.T) {
	for _, slot := range m.openSlots() {
		m.putOne(slot)
	}
}

func (m *machine) openSlots() (open []int64) {
	for i, ok := range m.put {
		if !ok {
			open = append(open, int64(i))
		}
	}
	return open
}

func (m *machine) putOne(slot int64) {
	m.slots[slot], m.put[slot] = m.next(slot), true
	m.q.Put(slot, m.slots[slot])
}

// flush also takes a checkpoint, now and then.
func (m *machine) flush(t *rapid.T) {
	upTo, err := m.q.Flush()
	require.NoError(t, err)
	require.Equal(t, m.visible(), upTo)
	require.False(t, m.q.Dirty())
	if rapid.Bool().Draw(t, "checkpoint") {
		m.checkpoint = [2]int64{m.min, upTo}
	}
}

func (m *machine) trim(t *rapid.T) {
	slot := rapid.Int64Range(-1, int64(len(m.slots))+1).Draw(t, "slot")
	m.q.TrimBefore(slot)
	m.min = max(m.min, min(slot, m.visible()))
}

func (m *machine) read(t *rapid.T) {
	from := rapid.Int64Range(m.min, int64(len(m.slots))+1).Draw(t, "from")
	m.requireRead(t, from, rapid.IntRange(1, 300).Draw(t, "n"))
}

func (m *machine) requireRead(t *rapid.T, from int64, n int) {
	dst := make([]Entry, n)
	k, err := m.q.Read(from, dst)
	require.NoError(t, err)
	want := m.slots[min(from, m.visible()):min(from+int64(n), m.visible())]
	require.Equal(t, len(want), k)
	for i := range want {
		require.Equal(t, want[i], dst[i], "slot %d", from+int64(i))
	}
}

func (m *machine) search(t *rapid.T) {
	slot := rapid.Int64Range(0, int64(len(m.slots))).Draw(t, "slot")
	got := m.q.SearchTime(slot * 2)
	if slot < m.visible() && m.slots[slot].Flags&FlagVoid == 0 {
		// Void slots in front share the time of the next message.
		require.LessOrEqual(t, got, max(slot, m.min))
	}
	if got > m.min {
		require.Less(t, m.slots[got-1].DeliverMs, slot*2)
	}
	if got < m.visible() {
		require.GreaterOrEqual(t, m.slots[got].DeliverMs, slot*2)
	}
}

// crash forgets memory, reopens at the last checkpoint and replays what the
// logs kept: all that was visible, and some of the rest.
func (m *machine) crash(t *rapid.T) {
	visible, cut := m.visible(), m.checkpoint[1]
	var kept []int64
	for i, ok := range m.put {
		slot := int64(i)
		if ok && slot >= cut && (slot < visible || rapid.Bool().Draw(t, "kept")) {
			kept = append(kept, slot)
		}
	}
	require.NoError(t, m.s.Close())
	m.open(t, m.checkpoint[0], cut)
	m.forget(cut, kept)
	for _, slot := range rapid.Permutation(append(kept, kept...)).Draw(t, "replay") {
		require.NoError(t, m.q.Restore(slot, m.slots[slot]))
	}
	m.q.Seal()
	m.reviveTrimmed(t)
}

// reviveTrimmed takes into the model the trimmed slots that are back because
// the checkpoint is older than the trim. Some may have become void.
func (m *machine) reviveTrimmed(t *rapid.T) {
	require.GreaterOrEqual(t, m.q.Min(), m.checkpoint[0])
	require.LessOrEqual(t, m.q.Min(), m.min)
	for slot := m.q.Min(); slot < m.min; slot++ {
		var e [1]Entry
		n, err := m.q.Read(slot, e[:])
		require.NoError(t, err)
		require.Equal(t, 1, n)
		if e[0] != m.slots[slot] {
			require.Equal(t, Entry{Flags: FlagVoid}, e[0])
		}
		m.slots[slot] = e[0]
	}
	m.min = m.q.Min()
}

// forget makes the model what must be there after recovery.
func (m *machine) forget(cut int64, kept []int64) {
	end, known := cut, map[int64]bool{}
	for _, slot := range kept {
		end, known[slot] = max(end, slot+1), true
	}
	m.slots, m.put = m.slots[:end], m.put[:end]
	late := int64(0)
	for slot := end - 1; slot >= cut; slot-- {
		if known[slot] {
			late = m.slots[slot].DeliverMs
		} else {
			m.slots[slot], m.put[slot] = Entry{Flags: FlagVoid, DeliverMs: late}, true
		}
	}
}

func (m *machine) check(t *rapid.T) {
	require.Equal(t, m.min, m.q.Min())
	require.Equal(t, m.visible(), m.q.Visible())
	require.Equal(t, int64(len(m.slots)), m.q.Next())
	m.requireRead(t, m.min, len(m.slots)+1)
}
