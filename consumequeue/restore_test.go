package consumequeue

import (
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSealMakesHolesVoid(t *testing.T) {
	q, _ := openTest(t, t.TempDir(), nil, 0, 0)
	for _, slot := range []int64{500, 2, 3, 300} {
		require.NoError(t, q.Restore(slot, entryOf(slot)))
	}
	require.Equal(t, int64(0), q.Visible())
	require.Equal(t, int64(501), q.Next())
	require.Equal(t, int64(501-4), q.Seal())
	require.Equal(t, int64(501), q.Visible())
	require.Zero(t, q.Seal())

	got := make([]Entry, 501)
	n, err := q.Read(0, got)
	require.NoError(t, err)
	require.Equal(t, 501, n)
	require.Equal(t, Entry{Flags: FlagVoid, DeliverMs: entryOf(2).DeliverMs}, got[0])
	require.Equal(t, entryOf(3), got[3])
	require.Equal(t, Entry{Flags: FlagVoid, DeliverMs: entryOf(300).DeliverMs}, got[4])
	require.Equal(t, entryOf(500), got[500])
	require.Equal(t, int64(4), q.SearchTime(entryOf(4).DeliverMs))

	mustFlush(t, q)
	cold(q)
	again := make([]Entry, 501)
	_, err = q.Read(0, again)
	require.NoError(t, err)
	require.Equal(t, got, again)
	require.Equal(t, int64(501), q.Reserve(1))
}

func TestRestoreMayRepeatButNotContradict(t *testing.T) {
	dir := t.TempDir()
	q, _ := openTest(t, dir, nil, 0, 0)
	putN(q, 10)
	mustFlush(t, q)
	q, _ = openTest(t, dir, nil, 0, 10)

	require.NoError(t, q.Restore(4, Entry{Loc: 99}), "below the checkpoint: ignored")
	require.NoError(t, q.Restore(11, entryOf(11)))
	require.NoError(t, q.Restore(11, entryOf(11)))
	require.ErrorIs(t, q.Restore(11, Entry{Loc: 99}), ErrTaken)
	require.NoError(t, q.Restore(10, entryOf(10)))
	require.NoError(t, q.Restore(10, entryOf(10)), "visible by now")
	require.Zero(t, q.Seal())
	requireRead(t, q, 0, 12)
}

func TestRestoreRefusesAnImpossibleSlot(t *testing.T) {
	q, _ := openTest(t, t.TempDir(), nil, 0, 0)
	require.ErrorIs(t, q.Restore(maxGap+1, entryOf(1)), ErrRange)
	require.Equal(t, int64(0), q.Next())

	far, err := q.set.Queue("far", 0, maxSlot-1, maxSlot-1)
	require.NoError(t, err)
	require.NoError(t, far.Restore(maxSlot-1, entryOf(1)))
	require.ErrorIs(t, far.Restore(maxSlot, entryOf(1)), ErrRange)
}

func TestFlushMayRunDuringRecovery(t *testing.T) {
	q, _ := openTest(t, t.TempDir(), nil, 0, 0)
	for slot := range int64(1000) {
		require.NoError(t, q.Restore(slot, entryOf(slot)))
	}
	mustFlush(t, q)
	for slot := range int64(1200) { // the other log, with some again
		require.NoError(t, q.Restore(slot, entryOf(slot)))
	}
	require.Zero(t, q.Seal())
	requireRead(t, q, 0, 1200)
}

func TestWhatFilesHoldBeyondTheCheckpointIsIgnored(t *testing.T) {
	dir := t.TempDir()
	q, s := openTest(t, dir, &Options{FileEntries: 10}, 0, 0)
	putN(q, 35)
	mustFlush(t, q)
	require.NoError(t, s.Close())

	q, _ = openTest(t, dir, nil, 0, 12)
	require.Equal(t, int64(12), q.Visible())
	require.Equal(t, int64(12), q.Reserve(1))
	other := Entry{Loc: 4711}
	q.Put(12, other)
	mustFlush(t, q)
	cold(q)
	requireRead(t, q, 0, 12)
	var got [5]Entry
	n, err := q.Read(12, got[:])
	require.NoError(t, err)
	require.Equal(t, 1, n)
	require.Equal(t, other, got[0])
}
