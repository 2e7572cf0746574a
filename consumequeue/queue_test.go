package consumequeue

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testTopic = "%RETRY%orders"

// openTest opens queue 3 of the test topic.
func openTest(t testing.TB, dir string, o *Options, min, next int64) (*Queue, *Set) {
	t.Helper()
	s, err := Open(dir, o)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	q, err := s.Queue(testTopic, 3, min, next)
	require.NoError(t, err)
	return q, s
}

// entryOf is what the tests put into a slot.
func entryOf(slot int64) Entry {
	return Entry{
		Loc:       uint64(slot)*1100 + 1<<56,
		Size:      uint32(slot%1000) + 91,
		Flags:     uint16(slot) & FlagScheduled,
		Tag:       uint32(slot * 2654435761),
		DeliverMs: 1_700_000_000_000 + slot*10,
	}
}

func putN(q *Queue, n int) {
	slot := q.Reserve(n)
	for i := range int64(n) {
		q.Put(slot+i, entryOf(slot+i))
	}
}

func mustFlush(t testing.TB, q *Queue) {
	t.Helper()
	upTo, err := q.Flush()
	require.NoError(t, err)
	require.Equal(t, q.Visible(), upTo)
	require.False(t, q.Dirty())
}

func mustList(t testing.TB, q *Queue) []int64 {
	t.Helper()
	bases, err := q.listFiles()
	require.NoError(t, err)
	return bases
}

// requireRead reads the slots [from, to) at once.
func requireRead(t testing.TB, q *Queue, from, to int64) {
	t.Helper()
	got := make([]Entry, to-from)
	n, err := q.Read(from, got)
	require.NoError(t, err)
	require.Equal(t, len(got), n)
	for i, e := range got {
		require.Equal(t, entryOf(from+int64(i)), e, "slot %d", from+int64(i))
	}
}

// cold drops what a queue keeps in memory after a Flush.
func cold(q *Queue) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.tail = newTail(q.synced, &q.set.chunks)
}

func TestVisibleIsThePrefixWithoutHoles(t *testing.T) {
	q, _ := openTest(t, t.TempDir(), nil, 0, 0)
	require.Equal(t, int64(0), q.Reserve(3))
	require.Equal(t, int64(3), q.Reserve(2))
	require.Equal(t, int64(5), q.Next())
	for _, step := range []struct{ put, visible int64 }{{1, 0}, {4, 0}, {0, 2}, {3, 2}, {2, 5}} {
		q.Put(step.put, entryOf(step.put))
		require.Equal(t, step.visible, q.Visible())
	}
	requireRead(t, q, 0, 5)
}

func TestReadStopsAtVisible(t *testing.T) {
	q, _ := openTest(t, t.TempDir(), nil, 0, 0)
	putN(q, 300)
	q.Reserve(10)
	dst := make([]Entry, 400)
	n, err := q.Read(100, dst)
	require.NoError(t, err)
	require.Equal(t, 200, n)
	for _, from := range []int64{300, 305, 1 << 60} {
		n, err = q.Read(from, dst)
		require.NoError(t, err)
		require.Zero(t, n)
	}
	_, err = q.Read(-1, dst)
	require.ErrorIs(t, err, ErrTrimmed)
}

func TestReadGoesAcrossFilesAndMemory(t *testing.T) {
	q, _ := openTest(t, t.TempDir(), &Options{FileEntries: 100}, 0, 0)
	putN(q, 950)
	mustFlush(t, q)
	putN(q, 700)
	requireRead(t, q, 0, 1650)
	for from := int64(0); from < 1650; from += 37 {
		requireRead(t, q, from, min(from+120, 1650))
	}
	require.Len(t, mustList(t, q), 10)
}

func TestFlushedEntriesSurviveReopening(t *testing.T) {
	dir := t.TempDir()
	q, s := openTest(t, dir, &Options{FileEntries: 64}, 0, 0)
	for range 5 {
		putN(q, 77)
		mustFlush(t, q)
	}
	require.NoError(t, s.Close())
	q, _ = openTest(t, dir, nil, 0, 5*77)
	requireRead(t, q, 0, 5*77)
	putN(q, 77)
	mustFlush(t, q)
	cold(q)
	requireRead(t, q, 0, 6*77)
}

func TestFlushFreesMemory(t *testing.T) {
	q, _ := openTest(t, t.TempDir(), nil, 0, 0)
	for range 20 {
		putN(q, 1000)
		mustFlush(t, q)
		require.LessOrEqual(t, len(q.tail.chunks), 3)
	}
}

func TestFlushLeavesOutWhatIsNotVisible(t *testing.T) {
	q, _ := openTest(t, t.TempDir(), nil, 0, 0)
	q.Reserve(3)
	q.Put(0, entryOf(0))
	q.Put(2, entryOf(2))
	require.True(t, q.Dirty())
	upTo, err := q.Flush()
	require.NoError(t, err)
	require.Equal(t, int64(1), upTo)
	require.False(t, q.Dirty())
	upTo, err = q.Flush()
	require.NoError(t, err)
	require.Equal(t, int64(1), upTo)
	q.Put(1, entryOf(1))
	require.True(t, q.Dirty())
	mustFlush(t, q)
	requireRead(t, q, 0, 3)
}

func TestNeedFlushIsCalledOnceUntilFlushed(t *testing.T) {
	calls := 0
	o := &Options{MaxTail: 100, NeedFlush: func(q *Queue) {
		require.Equal(t, testTopic, q.Topic())
		require.Equal(t, int32(3), q.ID())
		require.True(t, q.Dirty()) // no lock is held
		calls++
	}}
	q, _ := openTest(t, t.TempDir(), o, 0, 0)
	putN(q, 99)
	require.Equal(t, 0, calls)
	putN(q, 200)
	require.Equal(t, 1, calls)
	mustFlush(t, q)
	putN(q, 100)
	require.Equal(t, 2, calls)
}

func TestPutOfASlotThatIsNotFreePanics(t *testing.T) {
	q, _ := openTest(t, t.TempDir(), nil, 0, 0)
	q.Reserve(3)
	q.Put(0, entryOf(0))
	q.Put(2, entryOf(2))
	for _, slot := range []int64{-1, 0, 2, 3} {
		require.Panics(t, func() { q.Put(slot, entryOf(slot)) }, "slot %d", slot)
	}
	q.Put(1, entryOf(1)) // no lock was left behind
	requireRead(t, q, 0, 3)
}

func TestSearchTimeFindsTheFirstSlotThatIsLateEnough(t *testing.T) {
	q, _ := openTest(t, t.TempDir(), &Options{FileEntries: 100}, 0, 0)
	require.Equal(t, int64(0), q.SearchTime(5))
	putN(q, 450)
	mustFlush(t, q)
	putN(q, 50)
	q.TrimBefore(20)
	at := func(slot int64) int64 { return entryOf(slot).DeliverMs }
	require.Equal(t, int64(20), q.SearchTime(0))
	require.Equal(t, int64(20), q.SearchTime(at(20)))
	require.Equal(t, int64(21), q.SearchTime(at(20)+1))
	require.Equal(t, int64(333), q.SearchTime(at(333)))
	require.Equal(t, int64(499), q.SearchTime(at(499)))
	require.Equal(t, int64(500), q.SearchTime(at(499)+1))
}

func TestClosedQueueSaysSo(t *testing.T) {
	q, s := openTest(t, t.TempDir(), nil, 0, 0)
	putN(q, 10)
	mustFlush(t, q)
	slot := q.Reserve(1)
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	q.Put(slot, entryOf(slot)) // a late one goes nowhere
	_, err := q.Read(0, make([]Entry, 1))
	require.ErrorIs(t, err, ErrClosed)
	_, err = q.Flush()
	require.ErrorIs(t, err, ErrClosed)
	require.ErrorIs(t, q.Restore(20, Entry{}), ErrClosed)
	require.Zero(t, q.Seal())
	q.TrimBefore(5)
	_, err = s.Queue("t", 0, 0, 0)
	require.ErrorIs(t, err, ErrClosed)
}

func TestQueueRefusesNonsense(t *testing.T) {
	dir := t.TempDir()
	_, s := openTest(t, dir, nil, 0, 0)
	for _, topic := range []string{"", ".", "..", "../x", "a/b", `a\b`, "a\x00", "FORMAT", string(make([]byte, 300))} {
		_, err := s.Queue(topic, 0, 0, 0)
		require.ErrorIs(t, err, ErrTopic, "%q", topic)
	}
	for _, r := range [][3]int64{{-1, 0, 0}, {0, -1, 0}, {0, 2, 1}, {0, 0, maxSlot + 1}} {
		_, err := s.Queue("t", int32(r[0]), r[1], r[2])
		require.ErrorIs(t, err, ErrRange, "%v", r)
	}
	_, err := s.Queue(testTopic, 3, 0, 0)
	require.ErrorIs(t, err, ErrOpen)
	for _, o := range []*Options{{FileEntries: -1}, {FileEntries: 1 << 32}, {MaxTail: -1}, {MaxOpenFiles: -1}} {
		_, err := Open(t.TempDir(), o)
		require.ErrorIs(t, err, ErrRange)
	}
	names, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Len(t, names, 1, "an empty queue has no files")
}

func TestOpenFilesAreBounded(t *testing.T) {
	q, s := openTest(t, t.TempDir(), &Options{FileEntries: 10, MaxOpenFiles: 3}, 0, 0)
	putN(q, 200)
	mustFlush(t, q)
	cold(q)
	for range 2 {
		requireRead(t, q, 0, 200)
		require.Len(t, s.files.open, 3)
	}
}

func TestFilesAreNamedByTheirFirstByte(t *testing.T) {
	dir := t.TempDir()
	q, _ := openTest(t, dir, &Options{FileEntries: 10}, 0, 0)
	putN(q, 15)
	mustFlush(t, q)
	st, err := os.Stat(filepath.Join(dir, testTopic, "3", "00000000000000000000"))
	require.NoError(t, err)
	require.Equal(t, int64(10*EntrySize), st.Size())
	st, err = os.Stat(filepath.Join(dir, testTopic, "3", "00000000000000000320"))
	require.NoError(t, err)
	require.Equal(t, int64(5*EntrySize), st.Size())
}
