package consumequeue

import (
	"encoding/binary"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/testutil"
)

// flushedCold returns a queue of 25 slots, none of them in memory, in files of 10.
func flushedCold(t *testing.T) *Queue {
	q, _ := openTest(t, t.TempDir(), &Options{FileEntries: 10}, 0, 0)
	putN(q, 25)
	mustFlush(t, q)
	cold(q)
	return q
}

func requireDamage(t *testing.T, q *Queue, slot int64, want error) {
	t.Helper()
	n, err := q.Read(slot, make([]Entry, 3))
	require.Zero(t, n)
	require.ErrorIs(t, err, want)
	var damage *CorruptionError
	require.ErrorAs(t, err, &damage)
	base := slot / 10 * 10
	require.Equal(t, q.path(base), damage.Path)
	require.Equal(t, (slot-base)*EntrySize, damage.Offset)
}

func TestFlippedByteIsAnErrorOfItsSlotAlone(t *testing.T) {
	for off := range int64(EntrySize) {
		q := flushedCold(t)
		testutil.FlipByte(t, q.path(10), 4*EntrySize+off)
		requireRead(t, q, 0, 14)
		requireDamage(t, q, 14, ErrChecksum)
		requireRead(t, q, 15, 25)

		dst := make([]Entry, 25)
		n, err := q.Read(0, dst)
		require.NoError(t, err)
		require.Equal(t, 14, n, "what is before the damage is given out")
	}
}

func TestTruncatedFileIsAnErrorOfTheMissingSlots(t *testing.T) {
	for _, cut := range []int64{4 * EntrySize, 4*EntrySize + 1, 5*EntrySize - 1} {
		q := flushedCold(t)
		require.NoError(t, os.Truncate(q.path(10), cut))
		requireRead(t, q, 0, 14)
		requireDamage(t, q, 14, ErrTruncated)
		requireDamage(t, q, 19, ErrTruncated)
		requireRead(t, q, 20, 25)
	}
}

func TestZeroedRangeIsAnErrorOfItsSlots(t *testing.T) {
	q := flushedCold(t)
	f, err := os.OpenFile(q.path(0), os.O_WRONLY, 0)
	require.NoError(t, err)
	_, err = f.WriteAt(make([]byte, 2*EntrySize), 0)
	require.NoError(t, err)
	require.NoError(t, f.Close())
	requireDamage(t, q, 0, ErrChecksum)
	requireDamage(t, q, 1, ErrChecksum)
	requireRead(t, q, 2, 25)
}

func TestMissingFileIsAnErrorOfItsSlots(t *testing.T) {
	q := flushedCold(t)
	require.NoError(t, os.Remove(q.path(10)))
	requireRead(t, q, 0, 10)
	requireDamage(t, q, 10, fs.ErrNotExist)
	requireRead(t, q, 20, 25)
}

func TestFileOfAnotherQueuePositionIsRefused(t *testing.T) {
	q := flushedCold(t)
	require.NoError(t, os.Rename(q.path(0), q.path(10)))
	requireDamage(t, q, 10, ErrChecksum)
}

func TestNewerEntryIsAVersionErrorNotDamage(t *testing.T) {
	q := flushedCold(t)
	b, err := os.ReadFile(q.path(0))
	require.NoError(t, err)
	b[13] = 0x40
	binary.LittleEndian.PutUint16(b[14:], checksum(b, 0))
	require.NoError(t, os.WriteFile(q.path(0), b, 0o644))
	_, err = q.Read(0, make([]Entry, 1))
	require.ErrorIs(t, err, ErrVersion)
	var damage *CorruptionError
	require.NotErrorAs(t, err, &damage)
}

func TestSearchTimeTreatsUnreadableSlotsAsLate(t *testing.T) {
	q := flushedCold(t)
	require.NoError(t, os.Remove(q.path(10)))
	require.LessOrEqual(t, q.SearchTime(entryOf(22).DeliverMs), int64(22))
	require.Equal(t, int64(5), q.SearchTime(entryOf(5).DeliverMs))
}

func TestFailedFlushKeepsEntriesAndIsRetried(t *testing.T) {
	dir := t.TempDir()
	q, _ := openTest(t, dir, &Options{FileEntries: 10}, 0, 0)
	putN(q, 15)
	mustFlush(t, q)
	putN(q, 400)

	blocked := q.path(20)
	require.NoError(t, os.Mkdir(blocked, 0o755)) // cannot be opened as a file
	upTo, err := q.Flush()
	require.ErrorIs(t, err, syscall.EISDIR)
	require.Equal(t, int64(15), upTo)
	require.True(t, q.Dirty())
	requireRead(t, q, 0, 415)
	putN(q, 10)

	require.NoError(t, os.Remove(blocked))
	mustFlush(t, q)
	cold(q)
	requireRead(t, q, 0, 425)
}

func TestFlushOnAFullDiskIsRetried(t *testing.T) {
	dir := testutil.Tmpfs(t, 256<<10)
	q, _ := openTest(t, filepath.Join(dir, "cq"), nil, 0, 0)
	ballast := filepath.Join(dir, "ballast")
	require.True(t, errors.Is(os.WriteFile(ballast, make([]byte, 512<<10), 0o644), syscall.ENOSPC))
	putN(q, 3000)
	_, err := q.Flush()
	require.ErrorIs(t, err, syscall.ENOSPC)
	requireRead(t, q, 0, 3000)

	require.NoError(t, os.Remove(ballast))
	mustFlush(t, q)
	cold(q)
	requireRead(t, q, 0, 3000)
}
