package runfile

import (
	"errors"
	"os"
	"sync/atomic"

	"github.com/duelog/duelog/internal/durable"
)

// File is an open run file.
type File struct {
	*os.File              // for ReadAt and Stat; Release closes it
	refs     atomic.Int32 // the index and each reader
	dropped  atomic.Bool  // unlink with the last reference
}

// Open opens the file at path for reading, with one reference.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	r := &File{File: f}
	r.refs.Store(1)
	return r, nil
}

// Acquire takes a reference; the caller knows that somebody holds one.
func (f *File) Acquire() { f.refs.Add(1) }

// Release gives up one reference; the last one closes the file and, if it was
// dropped, unlinks it.
func (f *File) Release() error {
	if f.refs.Add(-1) > 0 {
		return nil
	}
	err := f.Close()
	if f.dropped.Load() {
		err = errors.Join(err, durable.Remove(f.Name()))
	}
	return err
}

// Drop gives up the index's reference of a file that the owner has durably taken
// off its list: it is unlinked when nobody reads it any more.
func (f *File) Drop() error {
	f.dropped.Store(true)
	return f.Release()
}
