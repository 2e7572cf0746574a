package tools

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/consumequeue"
	"github.com/duelog/duelog/server/message"
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
	w := &firingStore{t: t, dir: filepath.Join(t.TempDir(), "store"), f: newFixture(t, ""), start: testNow.Add(-24 * time.Hour)}
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
func (w *firingStore) put(key string, minute int) store.Result {
	w.t.Helper()
	return w.putInto(0, key, minute)
}

// putInto does so in a queue of orders.
func (w *firingStore) putInto(queue int32, key string, minute int) store.Result {
	w.t.Helper()
	q, err := w.s.Queue("orders", queue)
	require.NoError(w.t, err)
	r := w.f.record(key, true, 0)
	var msg message.Message
	require.NoError(w.t, message.Decode(r.Payload, &msg))
	msg.QueueID = queue
	r.Payload, err = message.Append(nil, &msg)
	require.NoError(w.t, err)
	m := &store.Message{Queue: q, Tag: r.Tag, Key: r.Key, Payload: r.Payload}
	if minute > 0 {
		m.FireMs = w.start.Add(time.Duration(minute) * time.Minute).UnixMilli()
	}
	put, err := w.s.Put(w.t.Context(), m)
	require.NoError(w.t, err)
	return put
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

// damaged copies the store as a kill would leave it, with any of its batches damaged, and
// any slots of its queues.
func (w *firingStore) damaged(rng *rand.Rand, manifestLost bool) string {
	w.t.Helper()
	var batches []int
	for i := range w.batches() {
		if rng.IntN(3) == 0 {
			batches = append(batches, i)
		}
	}
	dir := w.imageWith(batches, manifestLost)
	files, err := filepath.Glob(filepath.Join(dir, store.ConsumeQueueDir, "orders", "*", "*"))
	require.NoError(w.t, err)
	for _, path := range files {
		b, err := os.ReadFile(path)
		require.NoError(w.t, err)
		for range rng.IntN(3) {
			if len(b) > 0 {
				b[rng.IntN(min(len(b), 12*consumequeue.EntrySize))] ^= 1
			}
		}
		require.NoError(w.t, os.WriteFile(path, b, 0o644))
	}
	return dir
}

// image copies the store with the batch damaged that is the one numbered, and without its
// MANIFEST if that is lost.
func (w *firingStore) image(batch int, manifestLost bool) string {
	return w.imageWith([]int{batch}, manifestLost)
}

// batches are the offsets of the journal's frames.
func (w *firingStore) batches() (starts []int64) {
	w.t.Helper()
	_, err := commitlog.ScanFile(filepath.Join(w.dir, segmentPath(store.JournalLane, 0)), commitlog.FileScan{
		Lane: store.JournalLane, Visit: func(fr commitlog.Frame) error {
			starts = append(starts, fr.Loc.Offset())
			return nil
		},
	})
	require.NoError(w.t, err)
	return starts
}

func (w *firingStore) imageWith(batches []int, manifestLost bool) string {
	w.t.Helper()
	dir := filepath.Join(w.t.TempDir(), "killed")
	require.NoError(w.t, os.CopyFS(dir, os.DirFS(w.dir)))
	log := filepath.Join(dir, segmentPath(store.JournalLane, 0))
	starts := w.batches()
	b, err := os.ReadFile(log)
	require.NoError(w.t, err)
	for _, batch := range batches {
		b[starts[batch]+commitlog.FrameHeaderSize+3] ^= 1
	}
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
	for manifestLost, says := range map[bool]string{
		true:  "of 3 messages that were due nobody knows whether they fired: they fire when the broker starts, some perhaps a second time",
		false: "the journal ends with a batch that is not whole, as a kill leaves one that nobody saw; if it is damage, of 3 messages that were due some fire",
	} {
		copied, report := repaired(t, w.image(1, manifestLost), ExitOK)
		require.Contains(t, report, "3 are pending, 3 visible")
		require.Contains(t, report, says)
		require.Len(t, waitingIn(t, copied), 3)
	}
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

// Whatever of journal and queues is damaged: what waited waits, what was visible has its slot or
// fires again, as many as repair says, and nothing is lost.
func TestRepairAfterAnyDamageOfJournalAndQueues(t *testing.T) {
	t.Parallel()
	inferred := 0
	for seed := range uint64(24) {
		rng := rand.New(rand.NewPCG(seed, 5))
		w := newFiringStore(t)
		w.putInto(0, "FIRST0", 0) // both queues are there
		w.putInto(1, "FIRST1", 0)
		minute, n, cancelled := 0, 0, map[string]bool{}
		for range 4 + rng.IntN(5) {
			for range rng.IntN(8) {
				key := fmt.Sprintf("M%d", n)
				n++
				r := w.putInto(rng.Int32N(2), key, max(0, minute+rng.IntN(200)-10))
				if r.FireMs > 0 && rng.IntN(8) == 0 {
					require.NoError(t, w.s.Cancel(r.Loc))
					cancelled[key] = true
				}
			}
			if rng.IntN(6) == 0 {
				require.NoError(t, w.s.Maintain(t.Context()))
			}
			minute += rng.IntN(90)
			w.fire(minute)
		}
		visible := slotsOf(t, w.s)
		dir := w.damaged(rng, rng.IntN(2) == 0)
		code, out, errs := run(t, "repair", dir, "--out", dir+"-copy", "-o", "csv")
		require.Equal(t, ExitOK, code, out+errs)
		inferred += counted(errs, `(?m)^(\d+) messages are visible in the copy although`)
		again := counted(errs, `(?m)(?:^|damage, )of (\d+) messages that were due`)

		waiting := waitingIn(t, dir+"-copy")
		s := openCopy(t, dir+"-copy")
		slots, moved := slotsOf(t, s), 0
		for i := range n {
			key := fmt.Sprintf("M%d", i)
			slot, was := visible[key]
			switch {
			case cancelled[key]:
				require.False(t, waiting[key], "seed %d: %s", seed, key)
				require.NotContains(t, slots, key, "seed %d", seed)
			case !was:
				require.True(t, waiting[key], "seed %d: %s waits no more\n%s", seed, key, errs)
			case waiting[key]:
				moved++
			default:
				require.Contains(t, slots, key, "seed %d", seed)
				require.Equal(t, slot, slots[key], "seed %d: the slot of %s\n%s", seed, key, errs)
			}
		}
		require.LessOrEqual(t, moved, again, "seed %d\n%s", seed, errs)
	}
	require.Positive(t, inferred)
}

// counted is the number that a report says, 0 if it does not.
func counted(report, pattern string) int {
	m := regexp.MustCompile(pattern).FindStringSubmatch(report)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1])
	return n
}

// lose zeroes a record and its message.
func (w *firingStore) lose(dir string, put store.Result) {
	w.t.Helper()
	path := filepath.Join(dir, segmentPath(put.Loc.Lane(), 0))
	b, err := os.ReadFile(path)
	require.NoError(w.t, err)
	clear(b[put.Loc.Offset()-commitlog.RecordHeaderSize : put.Loc.Offset()+int64(put.Size)])
	require.NoError(w.t, os.WriteFile(path, b, 0o644))
}

// The record of a message that fired is lost with the batch that said so: its slot is not
// that of one that has not fired.
func TestRepairDoesNotGiveTheSlotOfALostMessageAway(t *testing.T) {
	t.Parallel()
	t.Run("between two firings", func(t *testing.T) {
		t.Parallel()
		w := newFiringStore(t)
		w.put("M0", 1)
		lost := w.put("LOST", 1)
		w.put("M1", 2)
		w.put("WAITS", 3)
		w.fire(1)
		w.fire(2)
		dir := w.image(0, true)
		w.lose(dir, lost)
		copied, report := repaired(t, dir, ExitFindings)
		require.Contains(t, report, "1 are pending, 2 visible")
		require.Contains(t, report, "1 messages are visible in the copy although")
		require.Equal(t, map[string]bool{"WAITS": true}, waitingIn(t, copied))
	})
	t.Run("behind the last one", func(t *testing.T) {
		t.Parallel()
		w := newFiringStore(t)
		w.put("M0", 1)
		w.put("M1", 2)
		lost := w.put("LOST", 2)
		w.put("WAITS", 3)
		w.fire(1)
		w.fire(2)
		w.put("NOW", 0)
		dir := w.image(1, true)
		w.lose(dir, lost)
		copied, report := repaired(t, dir, ExitFindings)
		require.Contains(t, report, "of 2 messages that were due nobody knows whether they fired")
		require.Equal(t, map[string]bool{"M1": true, "WAITS": true}, waitingIn(t, copied))
	})
}
