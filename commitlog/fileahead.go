package commitlog

import (
	"fmt"
	"io"
	"os"
	"slices"
)

const (
	// aheadChunk is how much of a file is read at once, and aheadChunks how many pieces
	// are read and not yet left behind, the present one included.
	aheadChunk  = 1 << 20
	aheadChunks = 3
	// aheadSlack is room in front of a chunk for the part of a frame that stands before it.
	aheadSlack = 1 << 20
)

// fileAhead reads a file front to back in a goroutine of its own: while one piece is
// checked the next ones are on their way, whatever the kernel's idea of reading ahead.
// Its memory is bounded, and used again.
//
// It is for one goroutine, which starts it, takes what it read, and stops it.
type fileAhead struct {
	f      *os.File
	base   int64         // lane offset of the first byte of f
	next   int64         // lane offset of the first byte that was not taken
	limit  int64         // lane offset at which it ends
	chunks chan chunk    // read, in order; closed when there will be no more
	spare  chan []byte   // room for chunks
	quit   chan struct{} // closed by stop

	present []byte // chunk that was taken last
	long    []byte // what is longer than a chunk
}

// chunk is a piece of a file: buf[aheadSlack:][:n].
type chunk struct {
	buf []byte
	n   int
	err error
}

// startAhead begins to read [from, limit), lane offsets.
func startAhead(f *os.File, base, from, limit int64, b *ScanBuffer) *fileAhead {
	a := &fileAhead{
		f: f, base: base, next: from, limit: limit, long: b.long,
		chunks: make(chan chunk, aheadChunks), spare: make(chan []byte, aheadChunks), quit: make(chan struct{}),
	}
	for len(b.chunks) < aheadChunks {
		b.chunks = append(b.chunks, make([]byte, aheadSlack+aheadChunk))
	}
	for _, c := range b.chunks {
		a.spare <- c
	}
	go a.read(from-base, limit-base)
	return a
}

// read ends when all is read, with the first error, or when it is stopped.
func (a *fileAhead) read(off, limit int64) {
	defer close(a.chunks)
	for off < limit {
		var buf []byte
		select {
		case <-a.quit:
			return
		case buf = <-a.spare:
		}
		want := min(aheadChunk-off%aheadChunk, limit-off)
		err := readFull(a.f, buf[aheadSlack:][:want], off)
		a.chunks <- chunk{buf, int(want), err} // has room for all there are
		if off += want; err != nil {
			return
		}
	}
}

// more returns at least n bytes of the file, of which tail are the first, and what was
// taken last. They stay valid until it is called again.
func (a *fileAhead) more(tail []byte, n int) ([]byte, error) {
	for len(tail) < n {
		c, ok := <-a.chunks
		if !ok {
			panic("BUG: read beyond the limit")
		}
		if c.err != nil {
			a.spare <- c.buf
			return nil, c.err
		}
		tail = a.join(tail, c)
		a.next += int64(c.n)
	}
	return tail, nil
}

// join puts c behind tail.
func (a *fileAhead) join(tail []byte, c chunk) []byte {
	if len(tail) > aheadSlack {
		a.long = append(slices.Grow(a.long[:0], len(tail)+c.n), tail...)
		a.long = append(a.long, c.buf[aheadSlack:][:c.n]...)
		a.spare <- c.buf
		return a.long
	}
	start := aheadSlack - len(tail)
	copy(c.buf[start:], tail)
	if a.present != nil {
		a.spare <- a.present
	}
	a.present = c.buf
	return c.buf[start : aheadSlack+c.n]
}

// stop waits for the reading to end; the memory may then be used again.
func (a *fileAhead) stop(b *ScanBuffer) {
	close(a.quit)
	for range a.chunks {
	}
	b.long = a.long
}

// readFull fills b with what stands at off.
func readFull(f *os.File, b []byte, off int64) error {
	n, err := f.ReadAt(b, off)
	if n == len(b) {
		return nil
	}
	if err == io.EOF {
		err = io.ErrUnexpectedEOF // somebody shortened the file under us
	}
	return fmt.Errorf("read segment %s: %w", f.Name(), err)
}
