package commitlog

import (
	"fmt"
	"math/bits"
	"sync"
	"time"

	"github.com/duelog/duelog/commitlog/segment"
)

const (
	// hotWindow is how far behind the tail bytes are taken to be in memory unasked.
	hotWindow = 64 << 20
	// coldReads bounds concurrent reads of cold bytes: about a device's queue.
	coldReads = 32
)

// View is a range of the log, valid until Release. It is a value; copies share one
// reference, which is released once.
type View struct {
	b    []byte
	file *segment.File // warm: keeps the mapping
	cold *coldBuffer   // cold: the pooled buffer
}

// BytesView is a View of bytes that nobody has to give back.
func BytesView(b []byte) View { return View{b: b} }

// Bytes are the bytes. Do not write to them, nor use them after Release.
func (v View) Bytes() []byte { return v.b }

// Release gives the bytes back. Call it exactly once; the zero View is fine.
func (v View) Release() {
	switch {
	case v.file != nil:
		v.file.Release()
	case v.cold != nil:
		v.cold.release()
	}
}

// View returns size bytes at loc. Bytes in memory are a slice of the mapping,
// others are read by a system call into a pooled buffer. ErrRange if that is not
// all committed and in one segment, ErrNotFound if the segment was removed or the
// bytes were given back. The
// bytes are not checked against the frame's checksum.
func (l *Log) View(loc Loc, size int32) (View, error) {
	off := loc.Offset()
	end := off + int64(size)
	if loc.Lane() != l.o.Lane || size < 0 || end > l.Tail() || off%l.o.SegmentSize+int64(size) > l.o.SegmentSize {
		return View{}, fmt.Errorf("view %d bytes at %v: %w", size, loc, ErrRange)
	}
	f := l.chain.Acquire(off)
	if f != nil && l.gaveBack(off, end) {
		f.Release()
		return View{}, fmt.Errorf("view %d bytes at %v: %w", size, loc, ErrNotFound)
	}
	if f == nil {
		return View{}, fmt.Errorf("view %d bytes at %v: %w", size, loc, l.absent())
	}
	at := off - f.Base()
	if size == 0 || l.hot(off) || l.warm.resident(f, off, size, time.Now()) {
		return View{b: f.Bytes(at, size), file: f}, nil
	}
	defer f.Release()
	cold, err := l.cold.read(f, at, int(size))
	if err != nil {
		return View{}, err
	}
	return View{b: cold.b, cold: cold}, nil
}

func (l *Log) absent() error {
	if l.closed.Load() {
		return ErrClosed
	}
	return ErrNotFound
}

// hot tells whether off was written by this process a short while ago.
func (l *Log) hot(off int64) bool {
	return off >= l.hotFrom && off >= l.Tail()-hotWindow
}

// coldReader reads what is not in memory.
type coldReader struct{ slots chan struct{} }

func (c *coldReader) init() { c.slots = make(chan struct{}, coldReads) }

func (c *coldReader) read(f *segment.File, off int64, n int) (*coldBuffer, error) {
	c.slots <- struct{}{}
	defer func() { <-c.slots }()
	buf := newColdBuffer(n)
	if err := f.ReadAt(buf.b, off); err != nil {
		buf.release()
		return nil, err
	}
	return buf, nil
}

// Cold buffers are pooled by power of two, up to what is worth keeping.
const (
	minColdShift = 10
	maxColdShift = 22
)

var coldBuffers [maxColdShift - minColdShift + 1]sync.Pool

type coldBuffer struct{ b []byte }

func newColdBuffer(n int) *coldBuffer {
	class := coldClass(n)
	if class >= len(coldBuffers) {
		return &coldBuffer{b: make([]byte, n)}
	}
	c, ok := coldBuffers[class].Get().(*coldBuffer)
	if !ok {
		c = &coldBuffer{b: make([]byte, 1<<(class+minColdShift))}
	}
	c.b = c.b[:n]
	return c
}

func (c *coldBuffer) release() {
	class := coldClass(cap(c.b))
	if class < len(coldBuffers) {
		coldBuffers[class].Put(c)
	}
}

// coldClass is the index of the smallest class that holds n bytes.
func coldClass(n int) int {
	return max(bits.Len(uint(max(n, 1)-1))-minColdShift, 0)
}
