package testutil

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestFlipByteInvertsOneByte(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, os.WriteFile(path, []byte{1, 2, 3}, 0o644))
	FlipByte(t, path, 1)
	FlipByte(t, path, -1)
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, []byte{1, 0xfd, 0xfc}, got)
}

func TestCopyDirKeepsTreeSizesAndContent(t *testing.T) {
	src := t.TempDir()
	sparse := append(make([]byte, 200<<10), "end"...)
	long := bytes.Repeat([]byte("x"), 64<<10) // exactly one block
	require.NoError(t, os.MkdirAll(filepath.Join(src, "a/empty"), 0o755))
	require.NoError(t, os.WriteFile(filepath.Join(src, "a/sparse"), sparse, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(src, "long"), long, 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(src, "zeroes"), make([]byte, 100), 0o644))
	require.NoError(t, os.WriteFile(filepath.Join(src, "none"), nil, 0o644))

	dst := CopyDir(t, src)
	for name, want := range map[string][]byte{"a/sparse": sparse, "long": long, "zeroes": make([]byte, 100), "none": {}} {
		got, err := os.ReadFile(filepath.Join(dst, name))
		require.NoError(t, err)
		require.True(t, bytes.Equal(want, got), name)
	}
	require.DirExists(t, filepath.Join(dst, "a/empty"))
}

func TestTmpfsIsFullAtItsSize(t *testing.T) {
	path := filepath.Join(Tmpfs(t, 1<<20), "f")
	require.NoError(t, os.WriteFile(path, make([]byte, 512<<10), 0o644))
	err := os.WriteFile(path, make([]byte, 2<<20), 0o644)
	require.True(t, errors.Is(err, syscall.ENOSPC), "got %v", err)
}

func TestFastDirEndsWithItsTest(t *testing.T) {
	var dir string
	t.Run("inner", func(t *testing.T) {
		dir = FastDir(t)
		require.NoError(t, os.WriteFile(filepath.Join(dir, "f"), nil, 0o644))
		require.NotEqual(t, dir, FastDir(t))
	})
	require.NoDirExists(t, dir)
}
