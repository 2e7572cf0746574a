package runfile

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func names(t *testing.T, dir string) (out []string) {
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	for _, f := range files {
		out = append(out, f.Name())
	}
	return out
}

func TestWrittenFileHasItsNameOnlyWhenPublished(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, Name(0, 10, ".run"))
	require.NoError(t, Write(path, 100, func(w *Writer) error {
		if _, err := w.Write([]byte("....body")); err != nil {
			return err
		}
		_, err := w.WriteAt([]byte("head"), 0)
		return err
	}))
	require.Equal(t, []string{"00000000000000000000-00000000000000000010.run.tmp"}, names(t, dir))
	require.NoError(t, Publish(path))
	got, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, "headbody", string(got), "what was reserved in excess is given back")
}

func TestFailedWriteLeavesNoFile(t *testing.T) {
	dir := t.TempDir()
	boom := errors.New("boom")
	err := Write(filepath.Join(dir, "a.run"), 1, func(*Writer) error { return boom })
	require.ErrorIs(t, err, boom)
	require.Empty(t, names(t, dir))
}

func TestDroppedFileIsUnlinkedWithItsLastReference(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.run")
	require.NoError(t, os.WriteFile(path, []byte("x"), 0o644))
	f, err := Open(path)
	require.NoError(t, err)
	f.Acquire()
	require.NoError(t, f.Drop())
	require.FileExists(t, path)
	_, err = f.ReadAt(make([]byte, 1), 0)
	require.NoError(t, err, "a reader goes on")
	require.NoError(t, f.Release())
	require.NoFileExists(t, path)
}

func TestUnlistedFilesAreDeletedAndForeignOnesKept(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a.run", "b.run", "b.run.tmp", "notes.txt", "c.tmp"} {
		require.NoError(t, os.WriteFile(filepath.Join(dir, name), nil, 0o644))
	}
	require.NoError(t, DeleteUnlisted(dir, ".run", map[string]bool{"a.run": true}, slog.New(slog.DiscardHandler)))
	require.Equal(t, []string{"a.run", "c.tmp", "notes.txt"}, names(t, dir))
}
