package consumequeue

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestScanFileReadsWhatFlushWroteAndNamesBadSlots(t *testing.T) {
	dir := t.TempDir()
	s, err := Open(dir, &Options{FileEntries: 4096})
	require.NoError(t, err)
	q, err := s.Queue("orders", 2, 0, 0)
	require.NoError(t, err)
	const n = 5000
	for i := range int64(n) {
		require.NoError(t, q.Restore(i, Entry{Loc: uint64(i) + 1}))
	}
	_, err = q.Flush()
	require.NoError(t, err)
	require.NoError(t, s.Close())

	entries, err := ReadFormat(dir)
	require.NoError(t, err)
	require.Equal(t, int64(4096), entries)
	sub := filepath.Join(dir, "orders", "2")
	bases, err := ListFiles(sub, entries)
	require.NoError(t, err)
	require.Equal(t, []int64{0, 4096}, bases)

	second := filepath.Join(sub, FileName(4096))
	b, err := os.ReadFile(second)
	require.NoError(t, err)
	b[10*EntrySize] ^= 1
	require.NoError(t, os.WriteFile(second, append(b[:904*EntrySize], 1, 2, 3), 0o644))
	next, bad := int64(4100), map[int64]error{}
	require.NoError(t, ScanFile(second, 4096, 4100, func(slot int64, e Entry, err error) bool {
		require.Equal(t, next, slot)
		next++
		if err != nil {
			bad[slot] = err
		} else {
			require.Equal(t, uint64(slot)+1, e.Loc)
		}
		return true
	}))
	require.Equal(t, map[int64]error{4106: ErrChecksum, 5000: ErrTruncated}, bad)
}
