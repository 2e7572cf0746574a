package runfile

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/duelog/duelog/internal/durable"
)

// TmpSuffix marks a file under construction.
const TmpSuffix = ".tmp"

// syncEvery bounds the burst that a file puts in front of the commit log's own
// syncs on the same disk. It costs the writing some 10-20 %.
const syncEvery = 16 << 20

// Write makes path + TmpSuffix of what fill writes and makes the bytes durable.
// size, which is positive and may be wrong, is reserved first: that keeps the file
// in one piece, and a full disk shows before the work is done.
//
// A failed sync needs no memory of it: the file is removed, and a retry writes
// every byte again.
func Write(path string, size int64, fill func(*Writer) error) error {
	f, err := durable.Create(path + TmpSuffix)
	if err != nil {
		return fmt.Errorf("create run: %w", err)
	}
	err = write(f, size, fill)
	if err = errors.Join(err, f.Close()); err != nil {
		err = fmt.Errorf("write run %s: %w", path, err)
		return errors.Join(err, durable.Remove(path+TmpSuffix))
	}
	return nil
}

func write(f *os.File, size int64, fill func(*Writer) error) error {
	if err := durable.Preallocate(f, size); err != nil {
		return err
	}
	w := &Writer{f: f}
	if err := fill(w); err != nil {
		return err
	}
	if err := f.Truncate(w.written); err != nil {
		return err
	}
	return durable.Datasync(f)
}

// Publish gives a file made by Write its final name, durably.
func Publish(path string) error {
	if err := durable.Rename(path+TmpSuffix, path); err != nil {
		return fmt.Errorf("publish run: %w", err)
	}
	return durable.SyncDir(filepath.Dir(path))
}

// Writer writes one file front to back.
type Writer struct {
	f        *os.File
	written  int64
	unsynced int
}

// Write implements io.Writer.
func (w *Writer) Write(b []byte) (int, error) {
	n, err := durable.Write(w.f, b)
	w.written += int64(n)
	if err != nil {
		return n, err
	}
	if w.unsynced += n; w.unsynced < syncEvery {
		return n, nil
	}
	w.unsynced = 0
	return n, durable.Datasync(w.f)
}

// WriteAt fills in bytes that were left open before, such as a header that says
// what follows it.
func (w *Writer) WriteAt(b []byte, off int64) (int, error) {
	if off+int64(len(b)) > w.written {
		panic("BUG: run file is filled in where it was not written")
	}
	return durable.WriteAt(w.f, b, off)
}
