package remoting

import (
	"encoding/binary"
	"fmt"
	"io"
)

const (
	firstBuffer = 4 << 10  // read buffer of a fresh connection
	baseBuffer  = 64 << 10 // read buffer of a busy one; grows further only for a single large frame
)

// frameReader cuts a byte stream into frames without copying them. Its buffer
// grows as bytes arrive: to baseBuffer when a read has filled it, beyond that to at
// most twice what has arrived of a frame. So a length field alone allocates nothing.
type frameReader struct {
	max  int    // longest frame, without its length field
	k    *chunk // owns buf
	buf  []byte
	r, w int // buf[r:w] is read and not yet handed out
}

func newFrameReader(maxFrame int) frameReader {
	f := frameReader{max: maxFrame}
	f.setBuffer(firstBuffer)
	return f
}

// next returns the next frame that is complete in the buffer, without its length
// field; ok is false when fill has to be called first. The frame is valid until
// that call. The error is ErrFrameSize; the reader is of no use afterwards.
func (f *frameReader) next() (frame []byte, ok bool, err error) {
	have := f.buf[f.r:f.w]
	if len(have) < 4 {
		return nil, false, nil
	}
	n := int64(binary.BigEndian.Uint32(have))
	if n < 4 || n > int64(f.max) {
		return nil, false, fmt.Errorf("%w: %d, at most %d%s", ErrFrameSize, n, f.max, foreign(have))
	}
	if int64(len(have)) < 4+n {
		return nil, false, nil
	}
	end := f.r + 4 + int(n)
	frame = f.buf[f.r+4 : end : end]
	f.r = end
	return frame, true, nil
}

// several tells whether more than one frame begins in the buffer.
func (f *frameReader) several() bool {
	have := f.buf[f.r:f.w]
	return len(have) >= 4 && int64(len(have)) > 4+int64(binary.BigEndian.Uint32(have))
}

// fill does one Read. Call it only when next has nothing more to give.
func (f *frameReader) fill(src io.Reader) (int, error) {
	f.makeRoom()
	n, err := src.Read(f.buf[f.w:])
	f.w += n
	return n, err
}

// makeRoom leaves at least one free byte behind w, and moves the unfinished frame
// to the front of the buffer when it could not be completed where it is.
func (f *frameReader) makeRoom() {
	full := f.w == len(f.buf) // the last read left something in the socket
	if f.r == f.w {
		f.r, f.w = 0, 0
		if len(f.buf) > baseBuffer {
			f.setBuffer(baseBuffer)
		}
	}
	if full && len(f.buf) < baseBuffer {
		f.setBuffer(4 * len(f.buf))
		return
	}
	want := 4
	if f.w-f.r >= 4 {
		want += int(binary.BigEndian.Uint32(f.buf[f.r:])) // checked by next
	}
	if f.r > 0 && f.r+want > len(f.buf) {
		f.w = copy(f.buf, f.buf[f.r:f.w])
		f.r = 0
	}
	if f.w == len(f.buf) {
		f.setBuffer(min(2*len(f.buf), max(want, baseBuffer)))
	}
}

// setBuffer changes the size of the buffer, to no less than what is in it, which
// moves to the front.
func (f *frameReader) setBuffer(size int) {
	old := f.k
	f.k = getChunk(size)
	buf := f.k.b[:size]
	if old != nil {
		f.w = copy(buf, f.buf[f.r:f.w])
		f.r = 0
		putChunk(old)
	}
	f.buf = buf
}

// release gives the buffer back; no frame may be in use any more.
func (f *frameReader) release() {
	putChunk(f.k)
	*f = frameReader{}
}

// foreign guesses, for the log, who sends something that is not a frame.
func foreign(b []byte) string {
	switch s := string(b[:4]); {
	case b[0] == 0x16 && b[1] == 3:
		return " (looks like TLS)"
	case s == "GET " || s == "POST" || s == "HEAD" || s == "PRI " || s == "OPTI":
		return " (looks like HTTP)"
	case s == "PROX" || s == "\r\n\r\n":
		return " (looks like a PROXY protocol header)"
	case s == "SSH-":
		return " (looks like SSH)"
	}
	return ""
}
