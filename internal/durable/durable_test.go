package durable

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/internal/testutil"
)

var errNotValid = errors.New("not valid")

// valid accepts content that does not start with "bad".
func valid(b []byte) error {
	if strings.HasPrefix(string(b), "bad") {
		return errNotValid
	}
	return nil
}

func requireFile(t *testing.T, path, want string) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	require.Equal(t, want, string(b))
}

func TestWriteFileReplacesAndKeepsTheLastContent(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, WriteFile(path, []byte("1")))
	requireFile(t, path, "1")
	require.NoFileExists(t, path+BackupSuffix)

	require.NoError(t, WriteFile(path, []byte("2")))
	require.NoError(t, WriteFile(path, []byte("3, longer")))
	requireFile(t, path, "3, longer")
	requireFile(t, path+BackupSuffix, "2")

	names, err := os.ReadDir(filepath.Dir(path))
	require.NoError(t, err)
	require.Len(t, names, 2, "nothing else is left")
}

func TestWriteFileGetsOverLeftoversOfACrash(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, WriteFile(path, []byte("1")))
	require.NoError(t, os.WriteFile(path+tmpSuffix, []byte("half of something long"), 0o644))
	require.NoError(t, os.WriteFile(path+prevSuffix, []byte("0"), 0o644))
	require.NoError(t, WriteFile(path, []byte("2")))
	requireFile(t, path, "2")
	requireFile(t, path+BackupSuffix, "1")
}

// A write after a fall back to the backup must not put the damage into the
// backup's place before the new content is in.
func TestFailedWriteFileLeavesFileAndBackupAlone(t *testing.T) {
	dir := testutil.Tmpfs(t, 64<<10)
	path := filepath.Join(dir, "f")
	require.NoError(t, WriteFile(path, []byte("good")))
	require.NoError(t, WriteFile(path, []byte("bad")))

	err := WriteFile(path, make([]byte, 128<<10))
	require.ErrorIs(t, err, syscall.ENOSPC)
	requireFile(t, path, "bad")
	requireFile(t, path+BackupSuffix, "good")
	require.NoFileExists(t, path+tmpSuffix, "it would keep the disk full")
}

func TestWriteFileThatCannotReplaceKeepsTheBackup(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	require.NoError(t, WriteFile(path, []byte("good")))
	require.NoError(t, WriteFile(path, []byte("bad")))
	require.NoError(t, os.MkdirAll(filepath.Join(path+prevSuffix, "in the way"), 0o755))
	require.Error(t, WriteFile(path, []byte("new")))
	requireFile(t, path, "bad")
	requireFile(t, path+BackupSuffix, "good")
}

func TestWriteFileIntoAMissingDirectoryIsAnError(t *testing.T) {
	err := WriteFile(filepath.Join(t.TempDir(), "none", "f"), nil)
	require.ErrorIs(t, err, fs.ErrNotExist)
}

func TestReadFilePrefersTheFileThenItsBackup(t *testing.T) {
	cases := []struct {
		name         string
		file, backup string // "" = missing
		want         string
		used         bool
	}{
		{"both good", "new", "old", "new", false},
		{"no backup", "new", "", "new", false},
		{"bad backup", "new", "bad", "new", false},
		{"bad file", "bad", "old", "old", true},
		{"no file", "", "old", "old", true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got, used, err := ReadFile(place(t, c.file, c.backup), valid)
			require.NoError(t, err)
			require.Equal(t, c.want, string(got))
			require.Equal(t, c.used, used)
		})
	}
}

// place makes a file and its backup; an empty one is left out.
func place(t *testing.T, file, backup string) string {
	path := filepath.Join(t.TempDir(), "f")
	for name, content := range map[string]string{path: file, path + BackupSuffix: backup} {
		if content != "" {
			require.NoError(t, os.WriteFile(name, []byte(content), 0o644))
		}
	}
	return path
}

func TestReadFileSaysNotExistOnlyWhenThereIsNothing(t *testing.T) {
	_, _, err := ReadFile(place(t, "", ""), valid)
	require.ErrorIs(t, err, fs.ErrNotExist)

	for _, c := range [][2]string{{"bad", ""}, {"", "bad"}, {"bad", "bad"}} {
		data, used, err := ReadFile(place(t, c[0], c[1]), valid)
		require.ErrorIs(t, err, errNotValid, "%v", c)
		require.NotErrorIs(t, err, fs.ErrNotExist, "%v", c)
		require.Nil(t, data)
		require.False(t, used)
	}
	path := place(t, "bad1", "bad2")
	_, _, err = ReadFile(path, valid)
	require.ErrorContains(t, err, path+":")
	require.ErrorContains(t, err, path+BackupSuffix)
}

func TestSyncDirOfAMissingDirectoryIsAnError(t *testing.T) {
	dir := t.TempDir()
	require.NoError(t, SyncDir(dir))
	require.ErrorIs(t, SyncDir(filepath.Join(dir, "none")), fs.ErrNotExist)
}

func newFile(t *testing.T, content string) *os.File {
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	require.NoError(t, err)
	t.Cleanup(func() { f.Close() })
	_, err = f.WriteString(content)
	require.NoError(t, err)
	return f
}

func TestDatasyncOfAClosedFileIsAnError(t *testing.T) {
	f := newFile(t, "x")
	require.NoError(t, Datasync(f))
	require.NoError(t, f.Close())
	require.Error(t, Datasync(f))
}

func TestPreallocateLengthensAndKeepsContent(t *testing.T) {
	for name, preallocate := range map[string]func(*os.File, int64) error{"platform": Preallocate, "portable": fillZero} {
		t.Run(name, func(t *testing.T) {
			f := newFile(t, "content")
			const size = 2<<20 + 17
			require.NoError(t, preallocate(f, size))
			b, err := os.ReadFile(f.Name())
			require.NoError(t, err)
			require.Len(t, b, size)
			require.Equal(t, "content", string(b[:7]))
			require.Equal(t, make([]byte, size-7), b[7:])
			require.GreaterOrEqual(t, diskBytes(t, f), int64(size))

			require.NoError(t, preallocate(f, 10), "never shorter")
			st, err := f.Stat()
			require.NoError(t, err)
			require.Equal(t, int64(size), st.Size())
		})
	}
}

func TestPreallocateOnAFullDiskIsENOSPC(t *testing.T) {
	for name, preallocate := range map[string]func(*os.File, int64) error{"platform": Preallocate, "portable": fillZero} {
		t.Run(name, func(t *testing.T) {
			f, err := os.Create(filepath.Join(testutil.Tmpfs(t, 1<<20), "f"))
			require.NoError(t, err)
			defer f.Close()
			require.ErrorIs(t, preallocate(f, 4<<20), syscall.ENOSPC)
		})
	}
}

// diskBytes returns what f occupies.
func diskBytes(t *testing.T, f *os.File) int64 {
	st, err := f.Stat()
	require.NoError(t, err)
	sys, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		t.Skip("blocks of a file are not known here")
	}
	return sys.Blocks * 512
}
