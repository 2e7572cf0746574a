package store

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/internal/testutil"
)

// With asynchronous flush a power loss may keep a frame and lose the one in front
// of it, and keep the journal that says that both have fired.
func TestFiredMessageLostInTheMiddleOfALaneIsAVoidSlot(t *testing.T) {
	dir := testutil.FastDir(t)
	o := small(Options{Flush: commitlog.Async, CheckpointEvery: time.Hour})
	s := mustOpen(t, dir, o)
	q := mustQueue(t, s, "a", 0)
	lost := mustPut(t, s, q, s.NowMs()+20, "lost")
	mustPut(t, s, q, s.NowMs()+20, "kept")
	awaitMax(t, q, 2)
	image := testutil.CopyDir(t, dir)
	require.NoError(t, os.Remove(filepath.Join(image, lockName)))
	testutil.FlipByte(t, filepath.Join(image, logDir, "0", strings.Repeat("0", 20)), lost.Loc.Offset())

	again := mustOpen(t, image, o)
	q = again.LookupQueue("a", 0)
	require.EqualValues(t, 2, q.Max())
	require.Equal(t, []string{"kept"}, payloads(t, again, q))
}

// What was lost at the end of a lane is lost over the next crash too, although the
// lane has gone on in another segment.
func TestFiredMessageLostAtTheEndOfALaneStaysAVoidSlot(t *testing.T) {
	o := small(Options{Flush: commitlog.Async, CheckpointEvery: time.Hour})
	dir := testutil.FastDir(t)
	s := mustOpen(t, dir, o)
	q := mustQueue(t, s, "a", 0)
	mustPut(t, s, q, s.NowMs()+20, "kept")
	lost := mustPut(t, s, q, s.NowMs()+20, "lost")
	awaitMax(t, q, 2)
	powerLoss := imageOf(t, dir)
	testutil.FlipByte(t, filepath.Join(powerLoss, logDir, "0", strings.Repeat("0", 20)), lost.Loc.Offset())

	again := mustOpen(t, powerLoss, o)
	q = again.LookupQueue("a", 0)
	require.Equal(t, []string{"kept"}, payloads(t, again, q))
	next := mustPut(t, again, q, 0, "next")
	require.Greater(t, next.Loc, lost.Loc)
	kill := imageOf(t, powerLoss)

	again = mustOpen(t, kill, o)
	require.Equal(t, []string{"kept", "next"}, payloads(t, again, again.LookupQueue("a", 0)))
}

// imageOf is what a process that is killed now leaves.
func imageOf(t *testing.T, dir string) string {
	image := testutil.CopyDir(t, dir)
	require.NoError(t, os.Remove(filepath.Join(image, lockName)))
	return image
}
