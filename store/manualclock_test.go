package store

import (
	"context"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/testutil"
)

func TestAStoreLivesByTheClockThatItIsGiven(t *testing.T) {
	ctx := context.Background()
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	c := NewManualClock(now)
	o := small(Options{Clock: c})
	dir := testutil.FastDir(t)
	s := mustOpen(t, dir, o)
	q := mustQueue(t, s, "orders", 0)
	r := mustPut(t, s, q, now.AddDate(0, 0, 300).UnixMilli(), "far")
	require.Equal(t, now.UnixMilli(), r.StoreMs)
	for day := 1; day <= 299; day++ {
		c.Advance(now.AddDate(0, 0, day))
		require.NoError(t, s.Settle(ctx))
		require.NoError(t, s.Maintain(ctx))
	}
	require.Zero(t, q.Max())
	require.EqualValues(t, 1, s.Pending())
	c.Advance(now.AddDate(0, 0, 300))
	c.Advance(now) // not back
	require.NoError(t, s.Settle(ctx))
	require.Equal(t, []string{"far"}, payloads(t, s, q))
	require.NoError(t, s.Maintain(ctx))

	c.Advance(now.AddDate(0, 0, 302))
	require.NoError(t, s.Settle(ctx))
	require.Empty(t, payloads(t, s, q))
	c.Advance(now.AddDate(0, 0, 302).Add(time.Minute))
	require.NoError(t, s.Maintain(ctx))
	require.NoError(t, s.Maintain(ctx))
	require.EqualValues(t, 1, q.Min())
	require.Empty(t, s.lanes[3].log.Segments())

	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Maintain(ctx), ErrClosed)
}
