package store

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/internal/testutil"
	"github.com/duelog/duelog/keyindex"
)

// TestRunThatIsRegisteredTwiceIsOne: what could not be opened after it was registered, as
// when descriptors have run out, is not shown, and written again.
func TestRunThatIsRegisteredTwiceIsOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := handOptions()
		o.keeperTick = 1000 * time.Hour
		s := mustOpen(t, testutil.FastDir(t), o)
		q := mustQueue(t, s, "far", 0)
		l := s.lanes[2]
		var want []far
		for range 6 { // too few for the goroutine that merges
			want = append(want, putFar(t, s, q, 20, 60*time.Hour, 60*time.Hour+time.Second)...)
			time.Sleep(2 * time.Second)
			require.True(t, l.index.Freeze())
			l.freezeKeys()
			var e edit
			ri, wrote, err := l.index.Flush(func(*delayindex.Entry) bool { return true })
			require.NoError(t, err)
			require.True(t, wrote)
			e.run(l.id, ri)
			e.indexed(l.id, ri.End)
			kri, wrote, err := l.keys.Flush()
			require.NoError(t, err)
			require.True(t, wrote)
			e.keyRun(l.id, kri)
			e.keysUpTo(l.id, kri.End)
			require.NoError(t, s.catalog.commit(e)) // and Install fails
			require.NoError(t, s.saveAll())
		}
		old := l.keys.Runs()[:4]
		ri, wrote, err := l.keys.Merge(old, nil, nil)
		require.NoError(t, err)
		require.True(t, wrote)
		require.NoError(t, s.catalog.commit(mergedKeys(l.id, old, ri))) // and Replace fails
		require.NoError(t, s.mergeKeys(l, old))
		dir := s.dir
		require.NoError(t, s.Close())
		s = mustOpen(t, dir, o)
		requirePending(t, s, want)
		require.Len(t, s.lanes[2].index.Runs(), 6)
		require.Len(t, s.lanes[2].keys.Runs(), 3)
		require.NoError(t, s.Close())
	})
}

func mergedKeys(lane uint8, old []keyindex.RunInfo, ri keyindex.RunInfo) (e edit) {
	for _, o := range old {
		e.keyRunGone(lane, o)
	}
	e.keyRun(lane, ri)
	return e
}
