package store

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/testutil"
)

func TestRebuildMakesTheIndexAnewFromTheLog(t *testing.T) {
	dir := testutil.FastDir(t)
	s := mustOpen(t, dir, small(Options{}))
	q := mustQueue(t, s, "t", 0)
	want := spread(t, s, q, 20)
	for i := range 3 {
		mustPut(t, s, q, s.NowMs()+5, fmt.Sprint("soon", i))
	}
	awaitMax(t, q, 3)
	flushAll(t, s)
	want = append(want, spread(t, s, q, 5)...)
	require.NoError(t, s.Close())

	runs, err := filepath.Glob(filepath.Join(dir, indexDir, "*", "*.run"))
	require.NoError(t, err)
	require.NotEmpty(t, runs)
	for i, run := range runs { // one is gone, the others are damaged
		if i == 0 {
			require.NoError(t, os.Remove(run))
			continue
		}
		b, err := os.ReadFile(run)
		require.NoError(t, err)
		b[len(b)/2] ^= 1
		require.NoError(t, os.WriteFile(run, b, 0o644))
	}
	report, err := Rebuild(dir, Maintenance(dir))
	require.NoError(t, err)
	require.Len(t, report, laneCount)
	total := int64(0)
	for _, r := range report {
		require.NotZero(t, r.RunsBefore)
		require.Equal(t, 1, r.RunsAfter)
		total += r.Entries
	}
	require.EqualValues(t, len(want), total)

	s = mustOpen(t, dir, small(Options{}))
	got, _ := bodiesOf(t, s, PendingPosition{}, noDeadline, -1)
	require.ElementsMatch(t, want, got)
	require.EqualValues(t, 3, mustQueue(t, s, "t", 0).Max(), "what fired does not fire again")
	_, err = Rebuild(dir, nil)
	var locked *LockedError
	require.ErrorAs(t, err, &locked)
	require.NoError(t, s.Close())
}

func TestRebuildOfNoStoreMakesNone(t *testing.T) {
	dir := testutil.FastDir(t)
	_, err := Rebuild(dir, nil)
	require.ErrorIs(t, err, os.ErrNotExist)
	left, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, left)
}

func TestMaintenanceDeletesNothingAndKeepsFileSizes(t *testing.T) {
	dir := testutil.FastDir(t)
	require.Zero(t, Maintenance(dir).SegmentSize)
	s := mustOpen(t, dir, small(Options{}))
	mustPut(t, s, mustQueue(t, s, "t", 0), 0, "m")
	mustPut(t, s, mustQueue(t, s, "t", 0), s.NowMs()+(3*time.Hour).Milliseconds(), "m")
	require.NoError(t, s.Close())
	o := Maintenance(dir)
	require.EqualValues(t, 256<<10, o.SegmentSize)
	require.EqualValues(t, 256<<10, o.DelaySegmentSize)
	require.Greater(t, o.ScheduledRetention, 10*366*24*time.Hour)
}
