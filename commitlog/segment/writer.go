package segment

import (
	"fmt"
	"os"
	"sync"
	"sync/atomic"

	"github.com/edsrzf/mmap-go"
)

// Writer selects how bytes get into a segment. The file format does not depend on it.
type Writer uint8

const (
	// Pwrite writes by system call. It is the zero value.
	Pwrite Writer = iota
	// Mmap stores into the shared mapping. An I/O error is then a SIGBUS.
	Mmap
)

// String is the option's spelling.
func (w Writer) String() string {
	switch w {
	case Pwrite:
		return "pwrite"
	case Mmap:
		return "mmap"
	}
	return fmt.Sprintf("writer(%d)", uint8(w))
}

// writer puts bytes into one file; one goroutine at a time.
type writer interface {
	writeAt(p []byte, off int64) error
	// wait returns when no helper of the writer is running.
	wait()
}

// pwriter writes by system call.
type pwriter struct {
	f  *os.File
	io IO
}

func (w *pwriter) writeAt(p []byte, off int64) error { return w.io.WriteAt(w.f, p, off) }

func (w *pwriter) wait() {}

const (
	populateLow  = 16 << 20 // start the helper when fewer populated bytes than this lie ahead
	populateHigh = 32 << 20 // how far ahead it goes
)

// mapWriter stores into the mapping. The pages ahead of it are populated by a
// helper, so that the store itself seldom faults.
type mapWriter struct {
	m         mmap.MMap
	populated int64 // written by the writer only, while no helper runs
	busy      atomic.Bool
	helpers   sync.WaitGroup
}

func (w *mapWriter) writeAt(p []byte, off int64) error {
	if off < 0 || off+int64(len(p)) > int64(len(w.m)) {
		return fmt.Errorf("write %d bytes at %d of a mapping of %d: %w", len(p), off, len(w.m), ErrRange)
	}
	w.populate(off + int64(len(p)))
	copy(w.m[off:], p)
	return nil
}

// populate keeps the helper ahead of end. It never waits.
func (w *mapWriter) populate(end int64) {
	if end+populateLow <= w.populated || w.populated >= int64(len(w.m)) || !w.busy.CompareAndSwap(false, true) {
		return
	}
	from := max(w.populated, end&^(pageSize-1))
	to := min(end+populateHigh, int64(len(w.m)))
	w.populated = to
	w.helpers.Go(func() {
		defer w.busy.Store(false)
		if from < to {
			populateWrite(w.m[from:to])
		}
	})
}

func (w *mapWriter) wait() { w.helpers.Wait() }
