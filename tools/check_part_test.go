package tools

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/store"
)

// tiledStore is a stopped store with pending messages due over a day, of all sizes, in
// frames of one and of many.
func tiledStore(t *testing.T) (dir string, m *store.Manifest) {
	dir = filepath.Join(t.TempDir(), "store")
	s, err := store.Open(dir, &store.Options{SegmentSize: 4 << 20, DelaySegmentSize: 4 << 20, JournalSegmentSize: 1 << 20})
	require.NoError(t, err)
	q, err := s.Queue("orders", 0)
	require.NoError(t, err)
	const n = 3000
	done := make(doneCount, n)
	start := time.Now().Add(3 * time.Hour).UnixMilli()
	for i := range n {
		msg := store.Message{Queue: q, FireMs: start + int64(i)*7919*7919%(20*3_600_000), Key: uint32(i), Payload: make([]byte, i*i%701)}
		require.NoError(t, s.PutAsync(&msg, done, 0))
		if i%100 == 0 {
			_, err := s.Put(t.Context(), &msg)
			require.NoError(t, err)
		}
	}
	for range n {
		require.NoError(t, <-done)
	}
	require.NoError(t, s.Maintain(context.Background()))
	require.NoError(t, s.Close())
	m, err = store.ReadManifest(dir)
	require.NoError(t, err)
	return dir, m
}

// checked checks a store with tiles of at least 2^bits bytes, and returns what was found.
func checked(t *testing.T, dir string, bits int) *check {
	t.Helper()
	c := &check{e: newEnv(Process{Out: io.Discard, Err: io.Discard}), dir: dir, retention: store.DefaultRetention, scheduledRetention: store.DefaultScheduledRetention, minTile: bits}
	c.progress = c.e.progress("verify")
	require.NoError(t, c.run(t.Context()))
	slices.SortFunc(c.findings, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.offset, b.offset), cmp.Compare(a.what, b.what))
	})
	return c
}

// fired moves the mark of a store: the messages due up to ms have fired.
func fired(t *testing.T, dir string, m *store.Manifest, ms int64) {
	m.FiredMs = ms
	for lane, upTo := range m.IndexedUpTo {
		if int(lane) < len(m.Absorbed) {
			m.Absorbed[lane] = max(m.Absorbed[lane], upTo)
		}
	}
	require.NoError(t, os.Remove(m.Path))
	require.NoError(t, store.WriteManifest(dir, m))
}

// changeEntry writes the run of a lane anew, with entry i changed.
func changeEntry(t *testing.T, dir string, m *store.Manifest, i int, change func(*delayindex.Entry)) {
	const lane = 1
	info := m.Runs[lane][0]
	f, err := delayindex.OpenRunFile(filepath.Join(dir, runPath(lane, info)))
	require.NoError(t, err)
	var es []delayindex.Entry
	for b := range f.Blocks() {
		es, err = f.Block(b, es)
		require.NoError(t, err)
	}
	require.NoError(t, f.Close())
	change(&es[i])
	made := t.TempDir()
	x, err := delayindex.Open(made, nil, info.Start, &delayindex.Options{Lane: lane})
	require.NoError(t, err)
	slices.SortFunc(es, func(a, b delayindex.Entry) int { return cmp.Compare(a.Loc, b.Loc) })
	x.Add(es, info.End)
	require.True(t, x.Freeze())
	got, _, err := x.Flush(nil)
	require.NoError(t, err)
	require.True(t, sameRun(got, info))
	require.NoError(t, x.Close())
	copyBytes(t, filepath.Join(made, delayindex.RunName(info)), filepath.Join(dir, runPath(lane, info)))
}

// What verify finds does not depend on how it cuts its work, nor on whether sums were
// enough; and when nothing is wrong they are.
func TestVerifyInTilesFindsWhatIsThere(t *testing.T) {
	type change func(t *testing.T, dir string, m *store.Manifest)
	logFile := func(dir string) string { return filepath.Join(dir, segmentPath(1, 0)) }
	for name, x := range map[string]struct {
		do   change
		want string // of one finding; "" = there is none
	}{
		"good":       {func(*testing.T, string, *store.Manifest) {}, ""},
		"some fired": {func(t *testing.T, dir string, m *store.Manifest) { fired(t, dir, m, m.Runs[1][0].MinFireMs+3_600_000) }, ""},
		"size": {func(t *testing.T, dir string, m *store.Manifest) {
			changeEntry(t, dir, m, 700, func(e *delayindex.Entry) { e.Size++ })
		}, "is not what the record says"},
		"key": {func(t *testing.T, dir string, m *store.Manifest) {
			changeEntry(t, dir, m, 1, func(e *delayindex.Entry) { e.Key ^= 1 << 31 })
		}, "is not what the record says"},
		"fire time": {func(t *testing.T, dir string, m *store.Manifest) {
			changeEntry(t, dir, m, 900, func(e *delayindex.Entry) { e.When += 1 << 16 })
		}, "is not what the record says"},
		"key of a fired one": {func(t *testing.T, dir string, m *store.Manifest) {
			changeEntry(t, dir, m, 1, func(e *delayindex.Entry) { e.Key++ })
			fired(t, dir, m, m.Runs[1][0].MinFireMs+3_600_000)
		}, "is not what the record says"},
		"place": {func(t *testing.T, dir string, m *store.Manifest) {
			changeEntry(t, dir, m, 500, func(e *delayindex.Entry) { e.Loc++ })
		}, "refers to a place where no record is"},
		"no place": {func(t *testing.T, dir string, m *store.Manifest) {
			changeEntry(t, dir, m, 500, func(e *delayindex.Entry) { e.Loc++ })
		}, "1 messages, the first at "},
		"block of the run": {func(t *testing.T, dir string, m *store.Manifest) {
			flip(t, filepath.Join(dir, runPath(1, m.Runs[1][0])), 400)
		}, "checksum mismatch"},
		"frames": {func(t *testing.T, dir string, _ *store.Manifest) {
			for off := int64(60_000); off < 700_000; off += 70_000 {
				flip(t, logFile(dir), off)
			}
		}, "hold no valid frame"},
		"cut short": {func(t *testing.T, dir string, _ *store.Manifest) {
			require.NoError(t, os.Truncate(logFile(dir), 300_000))
		}, "hold no valid frame"},
		"no log": {func(t *testing.T, dir string, _ *store.Manifest) {
			require.NoError(t, os.Remove(logFile(dir)))
		}, "registered, but not on disk"},
		"no run": {func(t *testing.T, dir string, m *store.Manifest) {
			require.NoError(t, os.Remove(filepath.Join(dir, runPath(1, m.Runs[1][0]))))
		}, "no such file"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, m := tiledStore(t)
			x.do(t, dir, m)
			whole, tiles := checked(t, dir, 0), checked(t, dir, 12)
			require.Equal(t, reasonless(whole.findings), reasonless(tiles.findings))
			require.Equal(t, whole.totals.pending.Load(), tiles.totals.pending.Load())
			require.Equal(t, whole.totals.records.Load(), tiles.totals.records.Load())
			if x.want == "" {
				require.Empty(t, whole.findings)
				require.Zero(t, whole.again.Load()+tiles.again.Load())
				require.EqualValues(t, 3030, whole.totals.records.Load())
				return
			}
			require.True(t, slices.ContainsFunc(whole.findings, func(f finding) bool { return strings.Contains(f.what, x.want) }), "%.2000v", fmt.Sprint(whole.findings))
		})
	}
}

// reasonless leaves out why a frame is not valid: of one that reaches out of its tile it
// is known sooner.
func reasonless(findings []finding) (out []finding) {
	for _, f := range findings {
		f.what, _, _ = strings.Cut(f.what, " hold no valid frame: ")
		out = append(out, f)
	}
	return out
}

// A tile has the entries of its offsets, wherever a frame reaches over the place where
// it should begin.
func TestTilesCoverTheirPart(t *testing.T) {
	dir, m := tiledStore(t)
	c := &check{e: newEnv(Process{}), dir: dir, m: m, newest: m, minTile: 12}
	l, err := c.lane(1)
	require.NoError(t, err)
	parts := l.parts()
	cutParts(parts)
	at, cut := int64(0), 0
	for _, p := range parts {
		require.Equal(t, at, p.from)
		for i := range p.tiles {
			tl := &p.tiles[i]
			require.Equal(t, at, tl.from)
			require.Less(t, tl.from, tl.to)
			for _, off := range []int64{tl.from, tl.from + (tl.to-tl.from)/2, tl.to - 1} {
				require.Same(t, tl, p.tileAt(off), "offset %d", off)
			}
			at = tl.to
		}
		cut = max(cut, len(p.tiles))
		require.Equal(t, at, p.to)
	}
	require.Equal(t, int64(maxOffset), at)
	require.Greater(t, cut, 8)
}

func TestEntrySumTellsEntriesApart(t *testing.T) {
	e := delayindex.Entry{When: delayindex.MakeWhen(1_795_413_600_000, 0), Loc: uint64(commitlog.MakeLoc(1, 56)), Size: 100, Queue: 1, Tag: 2, Key: 3}
	other := e
	other.Loc += 154
	sum := func(es ...delayindex.Entry) (s entrySum) {
		for i := range es {
			s.add(&es[i])
		}
		return s
	}
	require.Equal(t, sum(e, other), sum(other, e))
	require.NotEqual(t, sum(e), sum(e, e))
	for bit := range 256 {
		x := e
		switch field := bit / 32; field {
		case 0, 1:
			x.When ^= 1 << (bit % 64)
		case 2, 3:
			x.Loc ^= 1 << (bit % 64)
		default:
			*[]*uint32{&x.Size, &x.Queue, &x.Tag, &x.Key}[field-4] ^= 1 << (bit % 32)
		}
		flag := bit < 16
		require.Equal(t, flag, sum(e, other) == sum(x, other), fmt.Sprint("bit ", bit))
	}
}
