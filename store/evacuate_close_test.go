package store

import (
	"bytes"
	"log/slog"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/internal/testutil"
)

// TestCloseInTheMiddleOfAnEvacuationIsACleanStop: Close ends the logs first, and the
// segment that has just moved cannot be removed from its log any more.
func TestCloseInTheMiddleOfAnEvacuationIsACleanStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := testutil.FastDir(t)
		var said bytes.Buffer
		o := handOptions()
		o.Logger = slog.New(slog.NewTextHandler(&said, &slog.HandlerOptions{Level: slog.LevelWarn}))
		s, _, want := ripen(t, dir, o, 600, 5*day, 50*day)
		l := s.lanes[farLane]
		ev, ok := s.compactor.begin(l, l.log.Segments()[0])
		require.True(t, ok)
		require.NoError(t, ev.survey())
		require.True(t, ev.whole)
		require.NoError(t, ev.write())
		require.NoError(t, l.log.Close()) // as the first thing of Close
		moved, err := ev.commit()
		require.NoError(t, err)
		require.True(t, moved)
		require.NoError(t, s.Err())
		require.NoError(t, s.Close())
		require.Empty(t, said.String())

		s = mustOpen(t, dir, o)
		require.False(t, slices.ContainsFunc(s.lanes[farLane].log.Segments(), func(i commitlog.SegmentInfo) bool { return i.Base == 0 }))
		requirePending(t, s, want)
		require.NoError(t, s.Close())
	})
}
