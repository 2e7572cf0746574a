package store

import (
	"math/rand/v2"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/internal/testutil"
)

// incompressible puts n messages of 2 KiB for lane 3, an hour apart.
func incompressible(t *testing.T, s *Store, q *Queue, n int) {
	r := rand.New(rand.NewPCG(1, 1))
	for i := range n {
		body := make([]byte, 2048)
		for j := range body {
			body[j] = byte(r.Uint32())
		}
		mustPut(t, s, q, s.NowMs()+(5*day+time.Duration(i)*time.Hour).Milliseconds(), string(body))
	}
}

// TestEachLateMessageOfAColdFileKeepsItsBytes: two messages fire late in one batch, the later
// one first, as topics do that wait apart in a backlog. They share a unit of 64 KiB, but not
// their block: that of the first lives long enough anyhow, that of the second does not.
func TestEachLateMessageOfAColdFileKeepsItsBytes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, testutil.FastDir(t), farOptions())
		q := mustQueue(t, s, "far", 0)
		incompressible(t, s, q, 100)
		time.Sleep(15 * time.Hour)
		synctest.Wait()
		require.EqualValues(t, 100, s.cold.files.Usage().Records)
		var all []delayindex.Entry
		for m, err := range s.PendingAfter(PendingPosition{}, endOfTime) {
			require.NoError(t, err)
			all = append(all, delayindex.Entry{When: delayindex.MakeWhen(m.FireMs, 0), Loc: uint64(m.Loc), Size: uint32(m.Size)})
		}
		dying := 0
		for i := range len(all) - 2 {
			first, second := all[i+1], all[i]
			if first.Loc/commitlog.GiveBackUnit != second.Loc/commitlog.GiveBackUnit {
				continue
			}
			now := all[i+2].FireMs()
			for _, info := range s.cold.files.Dying(now - 1) {
				if info.DeadTo > commitlog.Loc(second.Loc).Offset()-info.Base {
					dying++ // but for its being late
				}
			}
			d := &dispatcher{s: s, batch: []delayindex.Entry{first, second}}
			d.keepLate(now)
			for _, info := range s.cold.files.Dying(now - 1) {
				require.LessOrEqual(t, info.DeadTo, commitlog.Loc(second.Loc).Offset()-info.Base, "message %d fired at %d", i, now)
			}
		}
		require.NotZero(t, dying)
		require.NoError(t, s.Close())
	})
}
