package durable

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// WriteAt writes all of b at off of f.
func WriteAt(f *os.File, b []byte, off int64) (n int, err error) {
	if observer.Load() == nil { // the hot path: no closure
		return f.WriteAt(b, off)
	}
	err = onFile(OpWrite, f, func() error { n, err = f.WriteAt(b, off); return err })
	return n, err
}

// Write appends b at the position of f.
func Write(f *os.File, b []byte) (n int, err error) {
	err = onFile(OpWrite, f, func() error { n, err = f.Write(b); return err })
	return n, err
}

// Writer returns what makes of its Writes those of this package.
func Writer(f *os.File) io.Writer { return writer{f} }

type writer struct{ f *os.File }

func (w writer) Write(b []byte) (int, error) { return Write(w.f, b) }

// Truncate gives f that length.
func Truncate(f *os.File, size int64) error {
	return onFile(OpTruncate, f, func() error { return f.Truncate(size) })
}

// Create is os.Create.
func Create(path string) (*os.File, error) {
	return OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o644)
}

// OpenFile is os.OpenFile with a flag that includes O_CREATE.
func OpenFile(path string, flag int, perm os.FileMode) (f *os.File, err error) {
	err = onPath(OpCreate, path, "", func() error { f, err = os.OpenFile(path, flag, perm); return err })
	return f, err
}

// Rename is os.Rename.
func Rename(from, to string) error {
	return onPath(OpRename, from, to, func() error { return os.Rename(from, to) })
}

// Remove is os.Remove.
func Remove(path string) error {
	return onPath(OpRemove, path, "", func() error { return os.Remove(path) })
}

func link(path, to string) error {
	return onPath(OpLink, path, to, func() error { return os.Link(path, to) })
}

// RemoveAll removes path and what is in it, the files of a directory before the
// directory. It is no error if there is nothing.
func RemoveAll(path string) error {
	err := Remove(path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	names, rerr := os.ReadDir(path)
	if rerr != nil {
		return err
	}
	for _, e := range names {
		if err := RemoveAll(filepath.Join(path, e.Name())); err != nil {
			return err
		}
	}
	return Remove(path)
}

// MakeDir creates the directory path, and those above it that are missing, with
// durable names. The name of one that exists is made durable too: the process
// that made it may have been killed before it could.
func MakeDir(path string) error {
	parent := filepath.Dir(path)
	if _, err := os.Stat(parent); errors.Is(err, fs.ErrNotExist) {
		if err := MakeDir(parent); err != nil {
			return err
		}
	}
	made := onPath(OpMkdir, path, "", func() error { return os.Mkdir(path, 0o755) })
	if st, err := os.Stat(path); made != nil && (err != nil || !st.IsDir()) {
		return made
	}
	err := SyncDir(parent)
	if made != nil && errors.Is(err, fs.ErrPermission) {
		return nil // a parent that is none of ours, and may not be read
	}
	return err
}
