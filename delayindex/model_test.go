package delayindex

import (
	"os"
	"slices"
	"testing"

	"github.com/stretchr/testify/require"
	"pgregory.net/rapid"
)

// model is an Index beside a plain slice of what it must hold and the manifest
// that its owner would keep.
type model struct {
	dir      string
	x        *Index
	alive    []Entry // in lane order
	tail     int64   // lane bytes that were added
	manifest []RunInfo
	upTo     int64
	held     []heldSnapshot
}

type heldSnapshot struct {
	s    *Snapshot
	want []Entry
}

func TestIndexBehavesLikeASortedSlice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(memoryDir(), "delayindex")
		require.NoError(t, err)
		defer os.RemoveAll(dir)
		m := &model{dir: dir}
		m.open(t)
		defer m.close(t)
		t.Repeat(map[string]func(*rapid.T){
			"add":             m.add,
			"add many":        m.addMany,
			"add nothing":     m.addNothing,
			"freeze":          func(*rapid.T) { m.x.Freeze() },
			"flush":           m.flush,
			"flush and crash": m.flushAndCrash,
			"drop":            m.drop,
			"crash":           m.reopen,
			"hold":            m.hold,
			"let go":          m.letGo,
			"":                m.check,
		})
	})
}

// memoryDir is a place where a thousand syncs cost nothing, if there is one.
func memoryDir() string {
	const shm = "/dev/shm"
	if st, err := os.Stat(shm); err == nil && st.IsDir() {
		return shm
	}
	return ""
}

func (m *model) open(t *rapid.T) {
	x, err := Open(m.dir, m.manifest, m.upTo, &Options{MemtableEntries: 3000})
	require.NoError(t, err)
	m.x = x
	lost := slices.IndexFunc(m.alive, func(e Entry) bool { return int64(e.Loc) >= m.upTo })
	if lost >= 0 {
		x.Add(m.alive[lost:], m.tail)
	}
	x.Add(nil, m.tail)
}

func (m *model) close(t *rapid.T) {
	for _, h := range m.held {
		h.s.Release()
	}
	m.held = nil
	require.NoError(t, m.x.Close())
}

func (m *model) reopen(t *rapid.T) {
	m.close(t)
	m.open(t)
}

func (m *model) add(t *rapid.T) {
	m.addEntries(rapid.SliceOfN(rapid.Int64Range(0, 4*hourMs), 1, 20).Draw(t, "delays"))
}

func (m *model) addMany(t *rapid.T) {
	n := rapid.IntRange(1000, 3000).Draw(t, "n")
	if len(m.alive) > chunkLen {
		return // enough for several chunks and blocks
	}
	stride := rapid.Int64Range(0, 100_000).Draw(t, "stride")
	delays := make([]int64, n)
	for i := range delays {
		delays[i] = int64(i) * stride % (4 * hourMs)
	}
	m.addEntries(delays)
}

func (m *model) addEntries(delays []int64) {
	es := make([]Entry, len(delays))
	for i, d := range delays {
		es[i] = Entry{When: MakeWhen(baseMs+d, uint16(i)&1), Loc: uint64(m.tail), Size: uint32(i)}
		m.tail += 10
	}
	m.alive = append(m.alive, es...)
	m.x.Add(es, m.tail)
}

func (m *model) addNothing(*rapid.T) {
	m.tail += 10
	m.x.Add(nil, m.tail)
}

func (m *model) flush(t *rapid.T) {
	fired := baseMs + rapid.SampledFrom([]int64{0, 0, hourMs, 4 * hourMs}).Draw(t, "fired")
	keep := func(e *Entry) bool { return e.FireMs() >= fired }
	ri, wrote, err := m.x.Flush(keep)
	if m.x.Frozen() == 0 {
		require.ErrorIs(t, err, ErrNothingFrozen)
		return
	}
	require.NoError(t, err)
	require.Equal(t, wrote, ri.Count > 0)
	if wrote {
		m.manifest = append(m.manifest, ri)
	}
	m.upTo = ri.End
	m.forget(func(e *Entry) bool { return inRun(e, ri) && !keep(e) })
	if rapid.Bool().Draw(t, "crash before install") {
		m.reopen(t)
		return
	}
	require.NoError(t, m.x.Install(ri, wrote))
}

func (m *model) flushAndCrash(t *rapid.T) {
	if m.x.Frozen() > 0 {
		_, _, err := m.x.Flush(nil)
		require.NoError(t, err)
	}
	m.reopen(t)
}

func (m *model) drop(t *rapid.T) {
	if len(m.manifest) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.manifest)-1).Draw(t, "run")
	ri := m.manifest[i]
	m.manifest = slices.Delete(m.manifest, i, i+1)
	m.forget(func(e *Entry) bool { return inRun(e, ri) })
	if rapid.Bool().Draw(t, "crash before drop") {
		m.reopen(t)
		return
	}
	require.NoError(t, m.x.Drop(ri))
}

func inRun(e *Entry, ri RunInfo) bool {
	return int64(e.Loc) >= ri.Start && int64(e.Loc) < ri.End
}

// forget removes entries; held snapshots keep the slice as it was.
func (m *model) forget(gone func(*Entry) bool) {
	m.alive = slices.DeleteFunc(slices.Clone(m.alive), func(e Entry) bool { return gone(&e) })
}

func (m *model) hold(*rapid.T) {
	m.held = append(m.held, heldSnapshot{m.x.Snapshot(), slices.Clone(m.alive)})
}

func (m *model) letGo(t *rapid.T) {
	if len(m.held) == 0 {
		return
	}
	h := m.held[0]
	m.held = m.held[1:]
	requireSnapshot(t, h.s, h.want, len(m.manifest))
	it := h.s.Iter(0, MaxFireMs)
	h.s.Release()
	requireEntries(t, selected(h.want, 0, MaxFireMs), it)
}

func (m *model) check(t *rapid.T) {
	require.ElementsMatch(t, m.manifest, m.x.Runs())
	require.Equal(t, m.upTo, m.x.IndexedUpTo())
	require.Equal(t, m.x.MemtableLen() >= 3000, m.x.MemtableFull())
	s := m.x.Snapshot()
	defer s.Release()
	requireSnapshot(t, s, m.alive, len(m.manifest))
}

func requireSnapshot(t *rapid.T, s *Snapshot, all []Entry, runs int) {
	from := baseMs + rapid.Int64Range(-1000, 4*hourMs).Draw(t, "from")
	to := from + rapid.SampledFrom([]int64{0, 1, 1000, minuteMs, hourMs, dayMs}).Draw(t, "length")
	want := selected(all, from, to)
	requireEntries(t, want, s.Iter(from, to))
	count := s.Count(from, to)
	require.GreaterOrEqual(t, count, int64(len(want)))
	sec := from / 1000
	requireEntries(t, selected(all, sec*1000, sec*1000+1000), s.Second(sec))
	require.Equal(t, int64(0), s.Count(to, from))
}
