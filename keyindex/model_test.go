package keyindex

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
}

func TestIndexBehavesLikeAListOfEntries(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		dir, err := os.MkdirTemp(memoryDir(), "keyindex")
		require.NoError(t, err)
		defer os.RemoveAll(dir)
		m := &model{dir: dir}
		m.open(t)
		defer func() { require.NoError(t, m.x.Close()) }()
		t.Repeat(map[string]func(*rapid.T){
			"add":             m.add,
			"add many":        m.addMany,
			"freeze":          func(*rapid.T) { m.x.Freeze() },
			"flush":           m.flush,
			"flush and crash": m.flushAndCrash,
			"merge":           m.merge,
			"drop":            m.drop,
			"crash":           m.reopen,
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
	x, damaged, err := Open(m.dir, m.manifest, m.upTo, nil)
	require.NoError(t, err)
	require.Empty(t, damaged)
	m.x = x
	if lost := slices.IndexFunc(m.alive, func(e Entry) bool { return int64(e.Loc) >= m.upTo }); lost >= 0 {
		x.Add(m.alive[lost:], m.tail)
	}
	x.Add(nil, m.tail)
	files, err := os.ReadDir(m.dir)
	require.NoError(t, err)
	require.Len(t, files, len(m.manifest), "files that are not registered are deleted")
}

func (m *model) reopen(t *rapid.T) {
	require.NoError(t, m.x.Close())
	m.open(t)
}

func (m *model) add(t *rapid.T) {
	m.addHashes(rapid.SliceOfN(rapid.Uint64Range(0, 7), 0, 20).Draw(t, "hashes"))
}

// addMany fills blocks with few hashes, so that one of them goes on for several.
func (m *model) addMany(t *rapid.T) {
	n := rapid.IntRange(100, 1000).Draw(t, "n")
	if len(m.alive) > 2*chunkLen {
		return // enough for several chunks and blocks
	}
	distinct := rapid.Uint64Range(1, 5).Draw(t, "distinct")
	hashes := make([]uint64, n)
	for i := range hashes {
		hashes[i] = uint64(i) * 7 % distinct
	}
	m.addHashes(hashes)
}

func (m *model) addHashes(hashes []uint64) {
	es := make([]Entry, len(hashes))
	for i, h := range hashes {
		es[i] = Entry{Hash: h * 0x9e3779b97f4a7c15, Loc: uint64(m.tail)}
		if i%3 > 0 {
			m.tail += 10 // else the message has another key
		}
	}
	m.tail += 10
	m.alive = append(m.alive, es...)
	m.x.Add(es, m.tail)
}

func (m *model) flush(t *rapid.T) {
	ri, wrote, err := m.x.Flush()
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
	if rapid.Bool().Draw(t, "crash before install") {
		m.reopen(t)
		return
	}
	require.NoError(t, m.x.Install(ri, wrote))
}

func (m *model) flushAndCrash(t *rapid.T) {
	if m.x.Frozen() > 0 {
		_, _, err := m.x.Flush()
		require.NoError(t, err)
	}
	m.reopen(t)
}

func (m *model) merge(t *rapid.T) {
	if len(m.manifest) < 2 {
		return
	}
	first := rapid.IntRange(0, len(m.manifest)-2).Draw(t, "first")
	n := rapid.IntRange(2, len(m.manifest)-first).Draw(t, "runs")
	old := slices.Clone(m.manifest[first : first+n])
	bound := uint64(rapid.Int64Range(0, old[n-1].End).Draw(t, "keep from"))
	keep := func(loc uint64) bool { return loc >= bound }
	ri, wrote, err := m.x.Merge(old, keep, nil)
	require.NoError(t, err)
	if rapid.Bool().Draw(t, "crash before registering") {
		m.reopen(t)
		return
	}
	m.manifest = slices.Delete(m.manifest, first, first+n)
	if wrote {
		m.manifest = slices.Insert(m.manifest, first, ri)
	}
	m.forget(func(e Entry) bool { return e.Loc < bound && between(e, old[0].Start, old[n-1].End) })
	if rapid.Bool().Draw(t, "crash before replacing") {
		m.reopen(t)
		return
	}
	require.NoError(t, m.x.Replace(old, ri, wrote))
}

func (m *model) drop(t *rapid.T) {
	if len(m.manifest) == 0 {
		return
	}
	i := rapid.IntRange(0, len(m.manifest)-1).Draw(t, "run")
	ri := m.manifest[i]
	m.manifest = slices.Delete(m.manifest, i, i+1)
	m.forget(func(e Entry) bool { return between(e, ri.Start, ri.End) })
	if rapid.Bool().Draw(t, "crash before drop") {
		m.reopen(t)
		return
	}
	require.NoError(t, m.x.Drop(ri))
}

func between(e Entry, start, end int64) bool { return int64(e.Loc) >= start && int64(e.Loc) < end }

func (m *model) forget(gone func(Entry) bool) { m.alive = slices.DeleteFunc(m.alive, gone) }

func (m *model) check(t *rapid.T) {
	require.ElementsMatch(t, m.manifest, m.x.Runs())
	require.Equal(t, m.upTo, m.x.IndexedUpTo())
	for h := range uint64(9) {
		hash := h * 0x9e3779b97f4a7c15
		require.Equal(t, wanted(m.alive, hash), find(t, m.x, hash))
	}
}
