package tools

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

// firingStore is a store whose journal has a frame for each step of its clock, and whose
// queues are in memory only.
type firingStore struct {
	t     *testing.T
	s     *store.Store
	f     *fixture
	dir   string
	start time.Time
	clock *store.ManualClock
}

func newFiringStore(t *testing.T) *firingStore {
	w := &firingStore{t: t, dir: filepath.Join(t.TempDir(), "store"), f: newFixture(t, ""), start: testNow.Add(-2 * time.Hour)}
	w.clock = store.NewManualClock(w.start)
	o := fixtureOptions()
	o.Clock = w.clock
	var err error
	w.s, err = store.Open(w.dir, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, w.s.Close()) })
	return w
}

// put stores a message that is due at that minute; 0 is now.
func (w *firingStore) put(key string, minute int) {
	w.t.Helper()
	q, err := w.s.Queue("orders", 0)
	require.NoError(w.t, err)
	r := w.f.record(key, true, 0)
	m := &store.Message{Queue: q, Tag: r.Tag, Key: r.Key, Payload: r.Payload}
	if minute > 0 {
		m.FireMs = w.start.Add(time.Duration(minute) * time.Minute).UnixMilli()
	}
	_, err = w.s.Put(w.t.Context(), m)
	require.NoError(w.t, err)
}

// fire lets what is due up to a minute fire, in one batch.
func (w *firingStore) fire(minute int) {
	w.t.Helper()
	w.clock.Advance(w.start.Add(time.Duration(minute)*time.Minute + time.Second))
	require.NoError(w.t, w.s.Settle(w.t.Context()))
}

// twoBatches lets n messages fire in each of the first two minutes.
func (w *firingStore) twoBatches(n int) {
	w.t.Helper()
	for i := range 2 * n {
		w.put(fmt.Sprintf("M%d", i), i/n+1)
	}
	w.fire(1)
	w.fire(2)
}

// image copies the store as a kill would leave it, with the batch damaged that is the one
// numbered, and without its MANIFEST if that is lost.
func (w *firingStore) image(batch int, manifestLost bool) string {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "killed")
	require.NoError(w.t, os.CopyFS(dir, os.DirFS(w.dir)))
	log := filepath.Join(dir, segmentPath(store.JournalLane, 0))
	var starts []int64
	_, err := commitlog.ScanFile(log, commitlog.FileScan{Lane: store.JournalLane, Visit: func(fr commitlog.Frame) error {
		starts = append(starts, fr.Loc.Offset())
		return nil
	}})
	require.NoError(w.t, err)
	b, err := os.ReadFile(log)
	require.NoError(w.t, err)
	b[starts[batch]+commitlog.FrameHeaderSize+3] ^= 1
	require.NoError(w.t, os.WriteFile(log, b, 0o644))
	if manifestLost {
		require.NoError(w.t, os.Remove(filepath.Join(dir, store.ManifestName)))
	}
	return dir
}

// What fired in a batch that cannot be read has its slots: the first ones, some in the
// middle, and the last ones if an ordinary message came after them.
func TestRepairDoesNotFireAgainWhatHasASlot(t *testing.T) {
	t.Parallel()
	w := newFiringStore(t)
	w.put("NOW0", 0)
	for i := range 9 {
		w.put(fmt.Sprintf("M%d", i), i/3+1) // three in each minute
	}
	w.put("TOMORROW", 26*60)
	for minute := range 3 {
		w.fire(minute + 1)
	}
	w.put("NOW1", 0)
	want := slotsOf(t, w.s)
	require.Len(t, want, 11)
	for batch := range 3 {
		for _, manifestLost := range []bool{true, false} {
			if batch == 2 && !manifestLost {
				continue // it reads like one that was being written, which nobody saw
			}
			what := fmt.Sprintf("batch %d, MANIFEST lost: %v", batch, manifestLost)
			copied, report := repaired(t, w.image(batch, manifestLost), ExitOK)
			require.Contains(t, report, "1 are pending, 11 visible. 0 messages are lost", what)
			require.Contains(t, report, "3 messages are visible in the copy although nothing that can be read says that they fired", what)
			require.NotContains(t, report, "nobody knows whether they fired", what)
			require.Equal(t, map[string]bool{"TOMORROW": true}, waitingIn(t, copied), what)
			s := openCopy(t, copied)
			require.NoError(t, s.Settle(t.Context()))
			require.Equal(t, want, slotsOf(t, s), what)
		}
	}
}

// Behind the last batch nothing shows which slots were given, and the messages of it fire
// again.
func TestRepairFiresAgainWhatNobodyKnows(t *testing.T) {
	t.Parallel()
	w := newFiringStore(t)
	w.twoBatches(3)
	copied, report := repaired(t, w.image(1, true), ExitOK)
	require.Contains(t, report, "3 are pending, 3 visible")
	require.Contains(t, report, "of 3 messages that were due nobody knows whether they fired: they fire when the broker starts, some perhaps a second time")
	require.Len(t, waitingIn(t, copied), 3)
}

// There are fewer slots than messages that were due: one came too late for its place.
func TestRepairLosesNothingThatMayNotHaveFired(t *testing.T) {
	t.Parallel()
	w := newFiringStore(t)
	w.twoBatches(2)
	dir := w.image(0, true)
	lane0 := filepath.Join(dir, segmentPath(0, 0))
	b, err := os.ReadFile(lane0)
	require.NoError(t, err)
	var queue uint32
	end, err := commitlog.ScanFile(lane0, commitlog.FileScan{Visit: func(fr commitlog.Frame) error {
		for it := range fr.Items() {
			queue = it.Queue
		}
		return nil
	}})
	require.NoError(t, err)
	late := w.f.record("LATE", true, w.start.Add(time.Minute).UnixMilli())
	late.Queue = queue
	fr := commitlog.AppendFrame(nil, commitlog.MakeLoc(0, end.Pos), end.LastMs, late)
	copy(b[end.Pos:], fr)
	require.NoError(t, os.WriteFile(lane0, b, 0o644))
	copied, report := repaired(t, dir, ExitOK)
	require.Contains(t, report, "3 are pending, 2 visible")
	require.Contains(t, report, "of 3 messages that were due nobody knows whether they fired")
	require.NotContains(t, report, "although nothing that can be read")
	require.True(t, waitingIn(t, copied)["LATE"])
}
