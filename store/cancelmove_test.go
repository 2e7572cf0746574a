package store

import (
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
)

func TestNothingIsCancelledWhileItIsMoved(t *testing.T) {
	const lane = 3
	s := mustOpen(t, t.TempDir(), small(Options{}))
	q := mustQueue(t, s, "far", 0)
	due := s.NowMs() + 10*24*3600_000
	a, b := mustPut(t, s, q, due, "a"), mustPut(t, s, q, due, "b")
	require.NoError(t, s.Cancel(a.Loc))
	release := s.cancels.hold(commitlog.MakeLoc(lane, 0), commitlog.MakeLoc(lane, s.lanes[lane].segmentSize))
	require.NoError(t, s.Cancel(a.Loc), "is cancelled")
	require.ErrorIs(t, s.Cancel(b.Loc), ErrMoving)
	near := mustPut(t, s, q, s.NowMs()+3_600_000, "near")
	require.NoError(t, s.Cancel(near.Loc))
	release()
	require.NoError(t, s.Cancel(b.Loc))
	s.forgetCancels([]commitlog.Loc{a.Loc})
	require.NoError(t, s.Cancel(mustPut(t, s, q, due, "c").Loc)) // durable after what was forgotten
	s = openCrashed(t, s)
	require.False(t, s.cancels.has(a.Loc))
	require.True(t, s.cancels.has(b.Loc))
}
