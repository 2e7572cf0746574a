package consumequeue

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/durable"
)

func TestTrimUnlinksWholeFilesBelow(t *testing.T) {
	dir := t.TempDir()
	q, s := openTest(t, dir, &Options{FileEntries: 10}, 0, 0)
	putN(q, 45)
	mustFlush(t, q)
	cold(q)
	requireRead(t, q, 0, 45)

	q.TrimBefore(29)
	require.Equal(t, int64(29), q.Min())
	require.Equal(t, []int64{20, 30, 40}, mustList(t, q))
	require.Len(t, s.files.open, 3)
	_, err := q.Read(28, make([]Entry, 1))
	require.ErrorIs(t, err, ErrTrimmed)
	requireRead(t, q, 29, 45)

	q.TrimBefore(5) // never back
	require.Equal(t, int64(29), q.Min())
}

func TestTrimStopsAtVisibleAndKeepsTheNewestFile(t *testing.T) {
	q, _ := openTest(t, t.TempDir(), &Options{FileEntries: 10}, 0, 0)
	putN(q, 40)
	q.Reserve(5)
	mustFlush(t, q)
	q.TrimBefore(1000)
	require.Equal(t, int64(40), q.Min())
	require.Equal(t, []int64{30}, mustList(t, q))
	putN(q, 0)
	q.Put(40, entryOf(40))
	cold(q)
}

func TestTrimKeepsFilesThatAreStillToBeWritten(t *testing.T) {
	q, _ := openTest(t, t.TempDir(), &Options{FileEntries: 10}, 0, 0)
	putN(q, 15)
	mustFlush(t, q)
	putN(q, 30)
	q.TrimBefore(42)
	require.Equal(t, []int64{10}, mustList(t, q))
	mustFlush(t, q)
	require.Equal(t, []int64{10, 20, 30, 40}, mustList(t, q))
	q.TrimBefore(42)
	require.Equal(t, []int64{40}, mustList(t, q))
	cold(q)
	requireRead(t, q, 42, 45)
}

func TestQueueStartsWhereTrimmedFilesEnd(t *testing.T) {
	dir := t.TempDir()
	q, s := openTest(t, dir, &Options{FileEntries: 10}, 0, 0)
	putN(q, 45)
	mustFlush(t, q)
	q.TrimBefore(29)
	require.NoError(t, s.Close())

	q, s = openTest(t, dir, nil, 3, 45) // the checkpoint is older than the trim
	require.Equal(t, int64(20), q.Min())
	requireRead(t, q, 20, 45)
	require.NoError(t, s.Close())

	q, _ = openTest(t, dir, nil, 3, 8) // older still: nothing of it is left
	require.Equal(t, int64(8), q.Min())
	require.Equal(t, int64(8), q.Visible())
	for slot := int64(8); slot < 45; slot++ {
		require.NoError(t, q.Restore(slot, entryOf(slot)))
	}
	mustFlush(t, q)
	cold(q)
	requireRead(t, q, 8, 45)
}

func TestTrimRemovesLeftoversOfAnEarlierRun(t *testing.T) {
	dir := t.TempDir()
	q, s := openTest(t, dir, &Options{FileEntries: 10}, 0, 0)
	putN(q, 45)
	mustFlush(t, q)
	require.NoError(t, s.Close())
	stranger := filepath.Join(q.dir, "notes.txt")
	require.NoError(t, os.WriteFile(stranger, nil, 0o644))

	q, _ = openTest(t, dir, nil, 31, 45)
	q.TrimBefore(31)
	require.Equal(t, []int64{30, 40}, mustList(t, q))
	require.FileExists(t, stranger)
}

func TestDeleteRemovesFilesAndTheQueueCanBeMadeAnew(t *testing.T) {
	dir := t.TempDir()
	q, s := openTest(t, dir, nil, 0, 0)
	putN(q, 10)
	mustFlush(t, q)
	cold(q)
	requireRead(t, q, 0, 10)
	slot := q.Reserve(1)
	require.NoError(t, q.Delete())
	require.NoDirExists(t, filepath.Join(dir, testTopic))
	require.Empty(t, s.files.open)
	q.Put(slot, entryOf(slot)) // was on its way
	_, err := q.Read(0, make([]Entry, 1))
	require.ErrorIs(t, err, ErrClosed)
	require.NoError(t, q.Delete())

	anew, err := s.Queue(testTopic, 3, 0, 0)
	require.NoError(t, err)
	putN(anew, 3)
	mustFlush(t, anew)
	require.NoError(t, q.Delete(), "again, it is gone")
	_, err = s.Queue(testTopic, 3, 0, 0)
	require.ErrorIs(t, err, ErrOpen, "the new one is still there")
	cold(anew)
	requireRead(t, anew, 0, 3)
}

// noRemoval is a disk on which nothing can be removed.
type noRemoval struct{}

func (noRemoval) Do(op durable.Op, _ *os.File, _, _ string, run func() error) error {
	if op == durable.OpRemove {
		return syscall.EIO
	}
	return run()
}

func TestQueueCanBeMadeAnewOverFilesThatCouldNotBeDeleted(t *testing.T) {
	dir := t.TempDir()
	q, s := openTest(t, dir, &Options{FileEntries: 10}, 0, 0)
	putN(q, 25)
	mustFlush(t, q)
	stop := durable.Observe(noRemoval{})
	require.ErrorIs(t, q.Delete(), syscall.EIO)
	stop()
	anew, err := s.Queue(testTopic, 3, 0, 0)
	require.NoError(t, err)
	putN(anew, 15)
	mustFlush(t, anew)
	require.NoError(t, q.Delete(), "again, it is gone")
	cold(anew)
	requireRead(t, anew, 0, 15)
	require.NoError(t, s.Close())
	again, _ := openTest(t, dir, nil, 0, 15)
	require.EqualValues(t, 15, again.Next())
	requireRead(t, again, 0, 15)
}

func TestDeleteKeepsOtherQueuesOfTheTopic(t *testing.T) {
	q, s := openTest(t, t.TempDir(), nil, 0, 0)
	other, err := s.Queue(testTopic, 4, 0, 0)
	require.NoError(t, err)
	for _, q := range []*Queue{q, other} {
		putN(q, 10)
		mustFlush(t, q)
	}
	require.NoError(t, q.Delete())
	cold(other)
	requireRead(t, other, 0, 10)
}

// The second crash comes before a checkpoint that knows of the trim.
func TestTrimmedSlotsAreVoidAfterTwoCrashes(t *testing.T) {
	dir := t.TempDir()
	q, s := openTest(t, dir, &Options{FileEntries: 100}, 0, 0)
	putN(q, 250)
	mustFlush(t, q)
	q.TrimBefore(250)
	require.Equal(t, []int64{200}, mustList(t, q))
	require.NoError(t, s.Close())

	q, s = openTest(t, dir, nil, 10, 150)
	require.Equal(t, int64(150), q.Min())
	for slot := int64(150); slot < 250; slot++ {
		require.NoError(t, q.Restore(slot, entryOf(slot)))
	}
	mustFlush(t, q)
	require.NoError(t, s.Close())

	q, _ = openTest(t, dir, nil, 10, 150)
	require.Equal(t, int64(100), q.Min())
	void := make([]Entry, 50)
	n, err := q.Read(100, void)
	require.NoError(t, err)
	require.Equal(t, 50, n)
	require.Equal(t, Entry{Flags: FlagVoid}, void[0])
	require.Equal(t, Entry{Flags: FlagVoid}, void[49])
}

func TestSpaceOfTrimmedSlotsIsFreedInTheFileThatStays(t *testing.T) {
	dir := t.TempDir()
	q, s := openTest(t, dir, &Options{FileEntries: 8192}, 0, 0)
	putN(q, 8000)
	mustFlush(t, q)
	file := q.path(0)
	full := diskBytes(t, file)
	q.TrimBefore(5000)
	q.FreeBefore(7000)
	q.FreeBefore(7000)
	require.Equal(t, int64(8000*EntrySize), fileSize(t, file))
	if after := diskBytes(t, file); after != full { // else there are no holes here
		require.Equal(t, full-4096*EntrySize, after)
	}
	cold(q)
	requireRead(t, q, 5000, 8000)
	require.NoError(t, s.Close())
	q.FreeBefore(8000)

	q, _ = openTest(t, dir, &Options{FileEntries: 8192}, 5000, 8000)
	requireRead(t, q, 5000, 8000)
	q.FreeBefore(5000) // holes already
	putN(q, 300)
	mustFlush(t, q)
	cold(q)
	requireRead(t, q, 8000, 8300)
}

func fileSize(t *testing.T, path string) int64 {
	t.Helper()
	st, err := os.Stat(path)
	require.NoError(t, err)
	return st.Size()
}

func diskBytes(t *testing.T, path string) int64 {
	t.Helper()
	var st syscall.Stat_t
	require.NoError(t, syscall.Stat(path, &st))
	return st.Blocks * 512
}
