package tools

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestWhatLiesInADirectoryWhateverLeadsThere(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "store")
	require.NoError(t, os.MkdirAll(filepath.Join(dir, "sub"), 0o755))
	require.NoError(t, os.Symlink(dir, filepath.Join(root, "link")))
	for path, want := range map[string]bool{
		"store": true, "store/sub": true, "store/new/deep": true, "link": true, "link/new": true, "store/sub/../new": true,
		"new": false, "store2": false, "store/../new": false, "link/../new": false, "": false,
	} {
		got, err := within(filepath.Join(root, path), dir)
		require.NoError(t, err)
		require.Equal(t, want, got, path)
	}
	got, err := within(filepath.Join(dir, "copy"), filepath.Join(root, "link"))
	require.NoError(t, err)
	require.True(t, got, "the store is named by a link")
}
