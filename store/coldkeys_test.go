package store

import (
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/durable"
	"github.com/duelog/duelog/internal/testutil"
)

// TestManyKeysOfAMoveAreSeveralRuns: what is in memory does not grow with them, and they are
// durable when the move is.
func TestManyKeysOfAMoveAreSeveralRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const each = 4000
		o := handOptions()
		o.Keys = func(payload []byte, dst []uint64) []uint64 {
			dst = firstWord(payload, dst)
			for i := range uint64(each - 1) {
				dst = append(dst, (dst[0]+i)*0x9e3779b97f4a7c15)
			}
			return dst
		}
		s, _, want := ripen(t, testutil.FastDir(t), o, 400, 5*day, 50*day)
		require.NoError(t, evacuateOne(s))
		moved := s.cold.files.Usage().Records
		require.Greater(t, moved*each, int64(1<<20))
		runs := s.cold.lane.keys.Runs()
		require.Len(t, runs, int(moved*each>>20)+1)
		require.Zero(t, s.cold.lane.keys.InMemory())
		total := int64(0)
		for _, ri := range runs {
			require.LessOrEqual(t, ri.Count, int64(1<<20))
			total += ri.Count
		}
		require.Equal(t, moved*each, total)
		requirePending(t, s, want)
		dir := s.dir
		require.NoError(t, s.Close())
		s = mustOpen(t, dir, o)
		require.Equal(t, runs, s.cold.lane.keys.Runs())
		requirePending(t, s, want)
		require.NoError(t, s.Close())
	})
}

// noKeyFiles is a disk without space for another run of the key index of the cold lane.
type noKeyFiles struct{}

// Do implements durable.Observer.
func (noKeyFiles) Do(op durable.Op, _ *os.File, path, _ string, run func() error) error {
	if op == durable.OpCreate && strings.Contains(path, filepath.Join(keysDir, "16")) {
		return syscall.ENOSPC
	}
	return run()
}

// TestColdFilesWithoutKeysGetThemAtTheStart: those of a release that wrote the keys after
// the file. Without space for them the store opens all the same, and none is forgotten.
func TestColdFilesWithoutKeysGetThemAtTheStart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := handOptions()
		s, _, want := ripen(t, testutil.FastDir(t), o, 2400, 5*day, 50*day)
		require.NoError(t, evacuateOne(s))
		require.NoError(t, evacuateOne(s))
		require.Greater(t, len(s.lanes[farLane].log.Segments()), 1)
		var e edit
		for _, ri := range s.cold.lane.keys.Runs() {
			e.keyRunGone(coldLane, ri)
		}
		e.keysUpTo(coldLane, 0)
		require.NoError(t, s.catalog.commit(e))
		dir := s.dir
		require.NoError(t, s.Close())

		func() {
			defer durable.Observe(noKeyFiles{})()
			o.EvacuateAfter = 6 * time.Hour
			s = mustOpen(t, dir, o)
			require.Empty(t, s.cold.lane.keys.Runs())
			require.NoError(t, s.compactor.run(true))
			require.Equal(t, 2, s.cold.files.Usage().Files, "no other comes before these have their keys")
			require.NoError(t, s.Close())
		}()
		s = mustOpen(t, dir, o)
		require.Len(t, s.cold.lane.keys.Runs(), 2)
		requirePending(t, s, want)
		require.NoError(t, s.compactor.run(true))
		require.Greater(t, s.cold.files.Usage().Files, 2)
		requirePending(t, s, want)
		require.NoError(t, s.Close())
	})
}
