package store

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/internal/testutil"
)

// TestMovedMessagesAreFoundByKeyAndCanBeCancelled evacuates whole segments, and some
// of which a part stays.
func TestMovedMessagesAreFoundByKeyAndCanBeCancelled(t *testing.T) {
	for _, late := range []bool{false, true} {
		t.Run(fmt.Sprintf("late=%v", late), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				const n = 600
				o := farOptions()
				o.Keys, o.EvacuateAfter = wordKeys, 12*time.Hour
				if late {
					o.EvacuateAfter = 8 * day // part of the messages is due
				}
				s := mustOpen(t, testutil.FastDir(t), o)
				q := mustQueue(t, s, "far", 0)
				locs := make([]commitlog.Loc, n)
				for i := range locs {
					fire := s.NowMs() + (5*day + time.Duration(i)*time.Hour/2).Milliseconds()
					locs[i] = putKeyed(t, s, q, fire, fmt.Sprintf("#%d %s", i, strings.Repeat("x", 1000))).Loc
				}
				for i := 500; i < 520; i++ {
					require.NoError(t, s.Cancel(locs[i]))
				}
				time.Sleep(o.EvacuateAfter + 12*time.Hour)
				synctest.Wait()
				require.NotZero(t, s.cold.files.Usage().Records)
				require.Equal(t, late, len(cuts(s)) > 0)
				for range 2 {
					requireMoved(t, s, n)
					require.NoError(t, s.Close())
					s = mustOpen(t, s.dir, o)
				}
				q = s.LookupQueue("far", 0)
				for i := 540; i < 560; i++ {
					require.NoError(t, s.Cancel(whereIs(t, s, i)))
				}
				time.Sleep(20 * day)
				synctest.Wait()
				require.EqualValues(t, n-40, q.Max())
				require.Zero(t, s.Pending())
				require.NoError(t, s.Close())
			})
		})
	}
}

// whereIs returns where message i is, by its key.
func whereIs(t *testing.T, s *Store, i int) (at commitlog.Loc) {
	found := 0
	require.NoError(t, s.Lookup(hashOf(fmt.Sprintf("#%d", i)), func(loc commitlog.Loc) bool {
		if _, err := s.State(loc); err == nil {
			at = loc
			found++
		} else {
			require.ErrorIs(t, err, ErrNotFound)
		}
		return true
	}))
	require.LessOrEqual(t, found, 1, "message %d is in one place", i)
	return at
}

func requireMoved(t *testing.T, s *Store, n int) {
	for i := 100; i < n; i++ { // those before may be past their retention
		key := fmt.Sprintf("#%d", i)
		if i >= 500 && i < 520 {
			require.Zero(t, whereIs(t, s, i), "cancelled ones end with the move")
			require.Empty(t, lookup(t, s, key))
			continue
		}
		require.Len(t, lookup(t, s, key), 1, key)
		st, err := s.State(whereIs(t, s, i))
		require.NoError(t, err)
		if i > 250 {
			require.True(t, st.Pending && !st.Cancelled, key)
			require.EqualValues(t, coldLane, whereIs(t, s, i).Lane(), key)
			require.Greater(t, st.Size, int32(1000))
		}
	}
}

// TestMessageIsFoundByKeyWhileItsMoveIsBeingShown: between the edit and the exchange of the
// indexes, of a segment of which a part stays, in the old place.
func TestMessageIsFoundByKeyWhileItsMoveIsBeingShown(t *testing.T) {
	for _, late := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s, q, want := ripen(t, testutil.FastDir(t), handOptions(), 1000, 5*day, 40*day)
			if late {
				time.Sleep(10 * day) // a part of the segment has fired
				synctest.Wait()
				require.NotZero(t, q.Max())
			}
			want = want[q.Max():]
			l := s.lanes[farLane]
			ev, ok := s.compactor.begin(l, l.log.Segments()[0])
			require.True(t, ok)
			require.NoError(t, ev.survey())
			require.Equal(t, !late, ev.whole)
			require.NoError(t, ev.write())
			require.True(t, s.holdHorizon(ev.cutMs))
			stay, err := ev.cutRuns()
			require.NoError(t, err)
			requirePending(t, s, want)
			require.NoError(t, ev.register())
			requirePending(t, s, want)
			require.NoError(t, ev.swap(stay, nil))
			s.freeHorizon()
			requirePending(t, s, want)
			require.NoError(t, s.Close())
		})
	}
}
