// Package testutil holds what the tests of several packages need to hurt files
// and to keep what a crash would leave: flipped bytes, copies of a live
// directory, file systems that are nearly full.
//
// Every helper ends the test on failure, so callers have no errors to handle.
// Only test files import this package; a test in internal/deptest holds that.
package testutil

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// FlipByte inverts all bits of the byte at off of the file at path. A negative
// off counts from the end of the file.
func FlipByte(t testing.TB, path string, off int64) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	require.NoError(t, err)
	defer f.Close()
	if off < 0 {
		st, err := f.Stat()
		require.NoError(t, err)
		off += st.Size()
	}
	var b [1]byte
	_, err = f.ReadAt(b[:], off)
	require.NoError(t, err)
	b[0] = ^b[0]
	_, err = f.WriteAt(b[:], off)
	require.NoError(t, err)
}

// CopyDir copies the tree at src into a new directory that ends with the test,
// and returns it: what a process that is killed at this moment leaves behind.
// src may be in use; a file that vanishes during the copy is left out. Zeroes
// become holes, so that preallocated segments cost nothing.
func CopyDir(t testing.TB, src string) string {
	t.Helper()
	dst := t.TempDir()
	err := filepath.WalkDir(src, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return ignoreMissing(err)
		}
		rel, err := filepath.Rel(src, path)
		if err != nil {
			return err
		}
		return copyEntry(filepath.Join(dst, rel), path, d)
	})
	require.NoError(t, err)
	return dst
}

func copyEntry(dst, src string, d fs.DirEntry) error {
	switch {
	case d.IsDir():
		return os.MkdirAll(dst, 0o755)
	case d.Type().IsRegular():
		return ignoreMissing(copyFile(dst, src))
	default:
		return nil
	}
}

func copyFile(dst, src string) error {
	in, err := os.Open(src)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(dst)
	if err != nil {
		return err
	}
	return errors.Join(copySparse(out, in), out.Close())
}

// copySparse copies in to out and leaves blocks of zeroes unwritten.
func copySparse(out, in *os.File) error {
	const block = 64 << 10
	buf, zero := make([]byte, block), make([]byte, block)
	for off := int64(0); ; {
		n, err := io.ReadFull(in, buf)
		if n > 0 && !bytes.Equal(buf[:n], zero[:n]) {
			if _, err := out.WriteAt(buf[:n], off); err != nil {
				return err
			}
		}
		off += int64(n)
		if err == io.EOF || err == io.ErrUnexpectedEOF {
			return out.Truncate(off)
		}
		if err != nil {
			return err
		}
	}
}

func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// FastDir returns a directory that ends with the test and is in memory if
// possible, so that thousands of syncs cost nothing. It is no place for big files.
func FastDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("/dev/shm", "duelog-test")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { require.NoError(t, os.RemoveAll(dir)) })
	return dir
}
