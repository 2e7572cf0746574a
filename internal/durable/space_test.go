package durable

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/testutil"
)

func TestDiskSpaceFollowsWhatIsWritten(t *testing.T) {
	dir := testutil.Tmpfs(t, 4<<20)
	before, err := DiskSpace(dir)
	require.NoError(t, err)
	require.EqualValues(t, 4<<20, before.Used+before.Free)
	require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), make([]byte, 1<<20), 0o644))
	after, err := DiskSpace(dir)
	require.NoError(t, err)
	require.Equal(t, before.Used+1<<20, after.Used)
	require.Equal(t, before.Free-1<<20, after.Free)
	require.InDelta(t, 0.25, after.UsedPart(), 0.01)
	require.Zero(t, Space{}.UsedPart())

	_, err = DiskSpace(filepath.Join(dir, "missing"))
	require.ErrorIs(t, err, os.ErrNotExist)
}
