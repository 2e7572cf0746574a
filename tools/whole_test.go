package tools

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/consumequeue"
	"github.com/duelog/duelog/internal/durable"
	"github.com/duelog/duelog/server/broker"
	"github.com/duelog/duelog/store"
)

// wholeStore is a small store that has each kind of file that there is, written by the
// store itself: several segments in a lane, most of them sealed, cold files, a cancel
// log, and the broker's tables with their backups.
type wholeStore struct {
	dir string
	m   *store.Manifest
	// What the messages are, by their UNIQ_KEY.
	pending, cancelled map[string]bool
	visible            map[string]int64 // and their slots
}

// wholeBody is so large that few messages fill a segment.
const wholeBody = 9 << 10

// makeWhole writes the store as it is at testNow after a clean stop.
func makeWhole(t *testing.T, dir string) *wholeStore {
	t.Helper()
	start := testNow.Add(-2 * time.Hour)
	w := &wholeStore{dir: dir, pending: map[string]bool{}, cancelled: map[string]bool{}}
	// Files of a queue that are small: the first one that opens them says so.
	queues, err := consumequeue.Open(filepath.Join(dir, store.ConsumeQueueDir), &consumequeue.Options{FileEntries: 64})
	require.NoError(t, err)
	require.NoError(t, queues.Close())
	clock := store.NewManualClock(start)
	s, err := store.Open(dir, &store.Options{
		SegmentSize: fixtureSegment, DelaySegmentSize: fixtureSegment, JournalSegmentSize: fixtureSegment, FireBatch: 1024,
		Flush: commitlog.Async, Clock: clock, EvacuateAfter: time.Hour, Keys: broker.Keys,
	})
	require.NoError(t, err)
	q, err := s.Queue("orders", 0)
	require.NoError(t, err)
	rng := rand.New(rand.NewPCG(3, 9))
	f := newFixture(t, "")
	put := func(key string, fire time.Time) {
		r := f.recordOf(key, wholeText(rng), true, 0)
		m := &store.Message{Queue: q, Tag: r.Tag, Key: r.Key, Payload: r.Payload, Keys: broker.Keys(r.Payload, nil)}
		if !fire.IsZero() {
			m.FireMs = fire.UnixMilli()
		}
		_, err := s.Put(t.Context(), m)
		require.NoError(t, err)
		w.pending[key] = true
	}
	for i := range 5 {
		put(fmt.Sprintf("ORD%d", i), time.Time{})
		put(fmt.Sprintf("FIRED%d", i), start.Add(time.Duration(i+1)*time.Minute))
		put(fmt.Sprintf("HOUR%d", i), testNow.Add(time.Duration(i+10)*time.Hour))
	}
	for i := range 3 {
		put(fmt.Sprintf("HOUR%d", 5+i), testNow.Add(time.Duration(i+2)*time.Hour))
	}
	for i := range 14 {
		put(fmt.Sprintf("FAR%02d", i), testNow.Add(time.Duration(30+i*7%14)*24*time.Hour))
	}
	clock.Advance(testNow.Add(-time.Second))
	require.NoError(t, s.Settle(t.Context()))
	require.NoError(t, s.Maintain(t.Context()))
	put("SOON", testNow.Add(time.Minute))
	put("SOON-NOT", testNow.Add(time.Minute))
	for _, key := range []string{"HOUR1", "FAR03", "SOON-NOT"} {
		w.cancel(t, s, key)
	}
	w.visible = slotsOf(t, s)
	for key := range w.visible {
		delete(w.pending, key)
	}
	clock.Advance(testNow)
	require.NoError(t, s.Close())
	w.writeTables(t)
	w.m, err = store.ReadManifest(dir)
	require.NoError(t, err)
	w.requireAllKinds(t)
	return w
}

// wholeText is a body that nothing compresses much.
func wholeText(rng *rand.Rand) []byte {
	b := make([]byte, wholeBody)
	for i := range b {
		b[i] = byte('0' + rng.IntN(64))
	}
	return b
}

// locOf finds a message by its key.
func locOf(t *testing.T, s *store.Store, key string) (loc commitlog.Loc) {
	t.Helper()
	loc = commitlog.MakeLoc(255, 0)
	require.NoError(t, s.Lookup(broker.KeyHash("orders", key), func(l commitlog.Loc) bool {
		if _, err := s.State(l); err == nil {
			loc = l
		}
		return true
	}))
	return loc
}

func (w *wholeStore) cancel(t *testing.T, s *store.Store, key string) {
	t.Helper()
	require.NoError(t, s.Cancel(locOf(t, s, key)), key)
	delete(w.pending, key)
	w.cancelled[key] = true
}

// slotsOf reads a queue: the slots of messages by their key.
func slotsOf(t *testing.T, s *store.Store) map[string]int64 {
	t.Helper()
	slots := map[string]int64{}
	for key, d := range deliveriesOf(t, s) {
		slots[key] = d.Slot
	}
	return slots
}

// deliveriesOf reads the queues of orders: what is visible, by its key.
func deliveriesOf(t *testing.T, s *store.Store) map[string]store.Delivery {
	t.Helper()
	visible := map[string]store.Delivery{}
	for num := int32(0); s.LookupQueue("orders", num) != nil; num++ {
		readDeliveries(t, s, s.LookupQueue("orders", num), visible)
	}
	return visible
}

// readDeliveries adds what is visible in a queue.
func readDeliveries(t *testing.T, s *store.Store, q *store.Queue, visible map[string]store.Delivery) {
	t.Helper()
	var got [64]store.Delivery
	for slot := q.Min(); slot < q.Max(); {
		n, err := q.Read(slot, got[:])
		require.NoError(t, err)
		require.NotZero(t, n)
		for _, d := range got[:n] {
			if d.Size == 0 {
				continue // void
			}
			v, err := s.Read(d.Loc, d.Size)
			require.NoError(t, err)
			key := uniqKeyOf(v.Bytes()).(string)
			v.Release()
			_, twice := visible[key]
			require.False(t, twice, "%s is visible twice", key)
			visible[key] = d
		}
		slot = got[n-1].Slot + 1
	}
}

// writeTables writes the broker's tables, each with the content before.
func (w *wholeStore) writeTables(t *testing.T) {
	t.Helper()
	dir := filepath.Join(w.dir, configDir)
	require.NoError(t, os.MkdirAll(dir, 0o755))
	for _, name := range []string{"topics", "groups", "offsets"} {
		for i, suffix := range []string{durable.BackupSuffix, ""} {
			content := fmt.Sprintf(`{"%sTable":{"orders":{"version":%d}}}`, name, i)
			require.NoError(t, os.WriteFile(filepath.Join(dir, name+".json"+suffix), []byte(content), 0o644))
		}
	}
}

// requireAllKinds checks that the store has what it is there for.
func (w *wholeStore) requireAllKinds(t *testing.T) {
	t.Helper()
	require.NotEmpty(t, w.m.Cold)
	require.NotEmpty(t, w.m.Segments[store.CancelLane])
	require.NotEmpty(t, w.m.Segments[journalLane])
	require.NotEmpty(t, w.m.KeyRuns)
	for _, lane := range []uint8{0, 1, store.FarLane} {
		require.NotEmpty(t, w.m.Runs[lane], "lane %d", lane)
	}
	for _, lane := range []uint8{0, 1} {
		require.Greater(t, len(w.m.Segments[lane]), 1, "lane %d", lane)
		require.True(t, w.m.Segments[lane][0].Sealed)
	}
	require.Len(t, w.visible, 10)
	require.Len(t, w.cancelled, 3)
}

// readable lists the messages of a store that are in good frames and blocks, by their
// keys. Of the MANIFEST, which may be bad, it needs none.
func (w *wholeStore) readable(t *testing.T, dir string) map[string]bool {
	t.Helper()
	keys := map[string]bool{}
	for lane := range uint8(4) {
		files, err := listSegments(dir, w.m, lane)
		require.NoError(t, err)
		for _, f := range files {
			_, err := commitlog.ScanFile(f.path, commitlog.FileScan{Lane: lane, Base: f.base, Whole: true, Visit: func(fr commitlog.Frame) error {
				for _, payload := range fr.Items() {
					keys[uniqKeyOf(payload).(string)] = true
				}
				return nil
			}})
			require.NoError(t, err)
		}
	}
	for i := range w.m.Cold {
		require.NoError(t, eachColdRecord(t.Context(), dir, &w.m.Cold[i], func(f *cold.File, it *commitlog.Item, err error) error {
			if err != nil {
				return nil
			}
			payload, err := f.View(it.Loc.Offset(), it.Size)
			keys[uniqKeyOf(payload).(string)] = true
			return err
		}))
	}
	return keys
}

// waitingIn lists, by key, what an export of a store has.
func waitingIn(t *testing.T, dir string) map[string]bool {
	t.Helper()
	code, out, errs := run(t, "export", dir)
	require.Equal(t, ExitOK, code, errs)
	keys := map[string]bool{}
	for line := range strings.Lines(out) {
		x, err := parseExportLine([]byte(line))
		require.NoError(t, err)
		if x.msg != nil {
			require.False(t, keys[x.msg.ID], "%s waits twice", x.msg.ID)
			keys[x.msg.ID] = true
		}
	}
	return keys
}

// requireKept compares a copy with what can still be read of its original.
func (w *wholeStore) requireKept(t *testing.T, dir, copied string, recallsLost bool, what string) {
	t.Helper()
	code, out, errs := run(t, "verify", copied, "-o", "csv")
	require.Equal(t, ExitOK, code, "%s: the copy is not good:\n%s%s", what, out, errs)
	readable, waiting := w.readable(t, dir), waitingIn(t, copied)
	s := openCopy(t, copied)
	slots := slotsOf(t, s)
	for key := range readable {
		slot, visible := w.visible[key]
		switch {
		case visible:
			require.Contains(t, slots, key, "%s", what)
			require.Equal(t, slot, slots[key], "%s: the slot of %s", what, key)
		case w.pending[key]:
			require.True(t, waiting[key], "%s: %s waits no more", what, key)
		case !recallsLost:
			require.False(t, waiting[key], "%s: %s was recalled and comes back", what, key)
		}
	}
	require.NoError(t, s.Close())
}

// TestRepairKeepsAllOfAWholeStore damages each file in each way, and what repair makes anew
// without reading it in one way.
func TestRepairKeepsAllOfAWholeStore(t *testing.T) {
	t.Parallel()
	w := makeWhole(t, filepath.Join(t.TempDir(), "store"))
	for i, name := range filesOf(t, w.dir) {
		ways := corruptions
		if strings.HasPrefix(name, store.KeysDir) || strings.HasPrefix(name, store.IndexDir) || strings.HasPrefix(name, store.SpareDir) || !w.isMissed(name) {
			ways = corruptions[i%len(corruptions):][:1]
		}
		for _, c := range ways {
			dir, copied := filepath.Join(t.TempDir(), "store"), filepath.Join(t.TempDir(), "copy")
			damage(t, w.dir, dir, name, c, 1, -1)
			what := c.name + " of " + name
			recallsLost := strings.HasPrefix(name, store.CancelDir)
			canLose := recallsLost || strings.HasPrefix(name, store.LogDir) || strings.HasPrefix(name, configDir)
			code, out, errs := run(t, "repair", dir, "--out", copied, "-o", "csv")
			if canLose {
				require.LessOrEqual(t, code, ExitFindings, what+out+errs)
			} else {
				require.Equal(t, ExitOK, code, "%s:\n%s%s", what, out, errs)
			}
			w.requireKept(t, dir, copied, recallsLost, what)
			require.NoError(t, os.RemoveAll(dir))
			require.NoError(t, os.RemoveAll(copied))
		}
	}
}

// used is how much of a file of the store means something.
func (w *wholeStore) used(name string) int {
	for lane, segments := range w.m.Segments {
		for _, info := range segments {
			if segmentPath(lane, info.Base) == name {
				return int(info.End - info.Base)
			}
		}
	}
	return -1
}

// isMissed tells whether a bad file is a loss: not what is prepared for later, nor a content
// before the last.
func (w *wholeStore) isMissed(name string) bool {
	base, segment := parseSegmentName(filepath.Base(name))
	if segment && (strings.HasPrefix(name, store.LogDir) || strings.HasPrefix(name, store.JournalDir)) {
		_, cold := coldAt(w.m, base)
		return w.used(name) >= 0 || cold && name == segmentPath(store.ColdLane, base)
	}
	return !strings.HasPrefix(name, store.SpareDir) && !strings.HasSuffix(name, durable.BackupSuffix)
}

// TestVerifyFindsEveryDamageOfAWholeStore damages each file in each way.
func TestVerifyFindsEveryDamageOfAWholeStore(t *testing.T) {
	t.Parallel()
	w := makeWhole(t, filepath.Join(t.TempDir(), "store"))
	for _, name := range filesOf(t, w.dir) {
		for i, c := range corruptions {
			dir := filepath.Join(t.TempDir(), "store")
			if !damage(t, w.dir, dir, name, c, uint64(i), w.used(name)) || notNoticed(name, c) {
				continue
			}
			code, out, errs := run(t, "verify", dir, "-o", "csv")
			if w.isMissed(name) {
				require.Equal(t, ExitFindings, code, "%s of %s:\n%s%s", c.name, name, out, errs)
				require.Contains(t, out, filepath.Base(name), "%s of %s:\n%s", c.name, name, out)
			} else {
				require.Equal(t, ExitOK, code, "%s of %s:\n%s%s", c.name, name, out, errs)
			}
			require.NoError(t, os.RemoveAll(dir))
		}
	}
}

// The header of a MANIFEST vouches for its end.
func TestAManifestWithoutItsEndIsDamaged(t *testing.T) {
	t.Parallel()
	w := makeWhole(t, filepath.Join(t.TempDir(), "store"))
	path := filepath.Join(w.dir, store.ManifestName)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	flipped := bytes.Clone(whole)
	flipped[len(whole)-1] ^= 1
	for _, hurt := range [][]byte{whole[:600], whole[:len(whole)-1], flipped} {
		require.NoError(t, os.WriteFile(path, hurt, 0o644))
		code, out, errs := run(t, "verify", w.dir, "-o", "csv")
		require.Equal(t, ExitFindings, code, "%s%s", out, errs)
		require.Contains(t, out, "duelogctl repair")
		copied, _ := repaired(t, w.dir, ExitOK)
		w.requireKept(t, w.dir, copied, false, fmt.Sprintf("%d bytes of %d", len(hurt), len(whole)))
		require.NoError(t, os.RemoveAll(copied))
	}
}

// One that has lost its end and what vouched for it reads like one after a crash. That it
// names no cold file any more of which there is no segment shows what it has lost.
func TestAManifestWithoutItsEndDoesNotPassForWhole(t *testing.T) {
	t.Parallel()
	w := makeWhole(t, filepath.Join(t.TempDir(), "store"))
	path := filepath.Join(w.dir, store.ManifestName)
	whole, err := os.ReadFile(path)
	require.NoError(t, err)
	silent, err := hex.DecodeString("444c4d46" + "01000000" + "00000000" + "e85dc13b")
	require.NoError(t, err)
	copy(whole, silent)
	missing := 0
	for end := 600; end < len(whole); end += 150 {
		require.NoError(t, os.WriteFile(path, whole[:end], 0o644))
		m, err := store.ReadManifest(w.dir)
		require.NoError(t, err)
		code, out, errs := run(t, "verify", w.dir, "-o", "csv")
		if len(m.Cold) < len(w.m.Cold) {
			missing++
			require.Equal(t, ExitFindings, code, "%d bytes of %d: %s%s", end, len(whole), out, errs)
		}
		copied, _ := repaired(t, w.dir, ExitOK)
		w.requireKept(t, w.dir, copied, false, fmt.Sprintf("%d bytes of %d", end, len(whole)))
		require.NoError(t, os.RemoveAll(copied))
	}
	require.Positive(t, missing)
}

// A store does not open a segment that is larger than it is configured to: what a file has
// grown by is not in the copy.
func TestACopyHasSegmentsOfTheirSizeThoughTheyGrew(t *testing.T) {
	t.Parallel()
	w := makeWhole(t, filepath.Join(t.TempDir(), "store"))
	segments := func(dir string) (out []string) {
		for _, name := range filesOf(t, dir) {
			class, _, _ := strings.Cut(name, "/")
			_, numbered := parseSegmentName(filepath.Base(name))
			if numbered && slices.Contains([]string{store.LogDir, store.JournalDir, store.CancelDir}, class) && filepath.Dir(name) != filepath.Dir(segmentPath(store.ColdLane, 0)) {
				out = append(out, name)
			}
		}
		return out
	}
	for _, name := range segments(w.dir) {
		path := filepath.Join(w.dir, name)
		before, err := os.ReadFile(path)
		require.NoError(t, err)
		require.NoError(t, os.WriteFile(path, append(bytes.Clone(before), "what was not there"...), 0o644))
		copied, _ := repaired(t, w.dir, ExitOK)
		for _, file := range segments(copied) {
			st, err := os.Stat(filepath.Join(copied, file))
			require.NoError(t, err)
			require.Zero(t, st.Size()%pageSize, "%s, when %s has grown", file, name)
		}
		w.requireKept(t, w.dir, copied, false, name)
		require.NoError(t, os.RemoveAll(copied))
		require.NoError(t, os.WriteFile(path, before, 0o644))
	}
}
