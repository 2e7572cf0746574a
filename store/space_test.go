package store

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/testutil"
)

func spaceOf(t *testing.T, s *Store) *Space {
	t.Helper()
	sp, err := s.Space(context.Background())
	require.NoError(t, err)
	return sp
}

func TestSpaceCountsEveryByteInOneState(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := retentionOptions()
		o.Registerer = prometheus.NewRegistry()
		s := mustOpen(t, testutil.FastDir(t), o)
		q := mustQueue(t, s, "orders", 0)
		const n, record = 200, 24 + 1000
		body := strings.Repeat("x", 1000)
		time.Sleep(10 * time.Second) // so that no pass comes right when they die
		start := s.NowMs()
		for range n {
			mustPut(t, s, q, 0, body)
			mustPut(t, s, q, start+hours, body)
			mustPut(t, s, q, start+24*100*hours, body)
		}
		sp := spaceOf(t, s)
		near, far := sp.Lanes[0].Segments[0], sp.Lanes[3].Segments[0]
		require.EqualValues(t, n*record, near.Live)
		require.EqualValues(t, n*record, near.Pending)
		require.EqualValues(t, n*record, far.Pending)
		require.Zero(t, far.Live)
		require.EqualValues(t, 2*n*32, near.Dead, "frame headers")
		require.Equal(t, s.opts.SegmentSize, near.Total())
		require.Equal(t, s.opts.DelaySegmentSize, far.Total())
		require.EqualValues(t, 2*n, near.Records)
		require.InDelta(t, start+72*hours, near.NextFreeMs, 2000)
		require.InDelta(t, start+24*102*hours, far.GoneMs, 2000+lateSlack)

		time.Sleep(2 * time.Hour)
		synctest.Wait()
		sp = spaceOf(t, s)
		require.EqualValues(t, 2*n*record, sp.Lanes[0].Segments[0].Live)
		require.Zero(t, sp.Lanes[0].Segments[0].Pending)
		require.EqualValues(t, 2*n*32, sp.Queues)
		sum := s.spaceByLane()
		require.InEpsilon(t, n*record, sum[3].Pending, 0.1)
		require.Zero(t, sum[0].Pending)
		all := 0
		families, err := o.Registerer.(*prometheus.Registry).Gather()
		require.NoError(t, err)
		for _, f := range families {
			if f.GetName() == "duelog_space_bytes" {
				all = len(f.GetMetric())
			}
		}
		require.Equal(t, 4*laneCount+3+1, all)

		time.Sleep(72*time.Hour - 2*time.Hour + time.Second)
		synctest.Wait()
		g := spaceOf(t, s).Lanes[0].Segments[0]
		require.Zero(t, g.Live)
		require.Greater(t, g.Recyclable, int64(2*n*record))
		pass(t, s)
		sp = spaceOf(t, s)
		require.Empty(t, sp.Lanes[0].Segments)
		require.Equal(t, s.opts.SegmentSize, sp.Spare)
		require.Equal(t, SpaceBytes{}, sp.Lanes[0].Sum())
		require.NoError(t, s.Close())
		_, err = s.Space(context.Background())
		require.ErrorIs(t, err, ErrClosed)
	})
}

func TestSpaceOfASegmentWithHolesIsWhatItTakesOnDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, testutil.FastDir(t), retentionOptions())
		q := mustQueue(t, s, "orders", 0)
		body := strings.Repeat("x", 1000)
		for i := range 600 {
			fire := s.NowMs() + 24*5*hours
			if i == 300 {
				fire += 24 * 100 * hours
			}
			mustPut(t, s, q, fire, body)
		}
		time.Sleep(7*24*time.Hour + time.Second)
		pass(t, s)
		far := spaceOf(t, s).Lanes[3]
		g := far.Segments[0]
		require.EqualValues(t, 1024, g.Pending)
		require.Zero(t, g.Live)
		require.Less(t, g.Total(), int64(3<<16), "the unit of the one that waits, and the last one")
		sum := far.Sum()
		require.EqualValues(t, 1<<20, far.Prepared)
		require.InDelta(t, logBytes(t, s), sum.Total(), 1<<16)
		require.NoError(t, s.Close())
	})
}
