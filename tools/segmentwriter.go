package tools

import (
	"errors"
	"fmt"
	"os"

	"github.com/duelog/duelog/internal/durable"
)

const (
	// copyBuffer is how much of a segment is written at once, copySync how much is
	// synced at once; twice as much may wait for the disk.
	copyBuffer = 1 << 20
	copySync   = 64 << 20
)

// segmentWriter writes a file front to back in large pieces, and leaves holes. The disk
// writes a piece while the next one is made.
type segmentWriter struct {
	f        *os.File
	buf      []byte
	at       int64 // where buf goes
	unsynced int64
	sync     background
	failed   error
	done     bool
}

func newSegmentWriter(path string) (*segmentWriter, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("write copy: %w", err)
	}
	return &segmentWriter{f: f, buf: make([]byte, 0, 2*copyBuffer)}, nil
}

// write appends what add appends to its argument; errors are kept in failed.
func (w *segmentWriter) write(add func([]byte) []byte) {
	w.buf = add(w.buf)
	if len(w.buf) >= copyBuffer {
		w.flush()
	}
}

// skip goes on at off, and leaves a hole before it.
func (w *segmentWriter) skip(off int64) {
	if off != w.at+int64(len(w.buf)) {
		w.flush()
		w.at = off
	}
}

func (w *segmentWriter) flush() {
	w.put(w.buf)
	w.buf = w.buf[:0]
}

func (w *segmentWriter) put(b []byte) {
	if w.failed != nil || len(b) == 0 {
		return
	}
	if _, err := w.f.WriteAt(b, w.at); err != nil {
		w.failed = err
		return
	}
	w.at += int64(len(b))
	if w.unsynced += int64(len(b)); w.unsynced >= copySync {
		w.unsynced = 0
		w.failed = w.sync.start(func() error { return durable.Datasync(w.f) })
	}
}

// finish makes a file of size bytes durable.
func (w *segmentWriter) finish(size int64) error {
	w.flush()
	w.failed = errors.Join(w.failed, w.sync.wait())
	if w.failed == nil {
		w.failed = w.f.Truncate(max(size, w.at))
	}
	if w.failed == nil {
		w.failed = durable.Datasync(w.f)
	}
	return w.failed
}

func (w *segmentWriter) close() error {
	if w.done {
		return nil
	}
	w.done = true
	return errors.Join(w.sync.wait(), w.f.Close())
}
