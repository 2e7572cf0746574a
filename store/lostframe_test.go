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
	dir := t.TempDir()
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
