package tools

import (
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/duelog/duelog/internal/durable"
)

// segmentWriter writes a file front to back in large pieces, and leaves holes.
type segmentWriter struct {
	f        *os.File
	buf      []byte
	at       int64 // where buf goes
	scratch  []byte
	unsynced int64
	failed   error
	done     bool
}

func newSegmentWriter(path string) (*segmentWriter, error) {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return nil, fmt.Errorf("write copy: %w", err)
	}
	return &segmentWriter{f: f, buf: make([]byte, 0, copyBuffer)}, nil
}

// write appends b; errors are kept in failed.
func (w *segmentWriter) write(b []byte) {
	w.scratch = b // its memory serves the next frame
	if len(w.buf)+len(b) > copyBuffer {
		w.flush()
	}
	if len(b) > copyBuffer {
		w.put(b)
		return
	}
	w.buf = append(w.buf, b...)
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
		w.failed = durable.Datasync(w.f)
	}
}

// finish makes a file of size bytes durable.
func (w *segmentWriter) finish(size int64) error {
	w.flush()
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
	if err := w.f.Close(); err != nil && !errors.Is(err, fs.ErrClosed) {
		return err
	}
	return nil
}
