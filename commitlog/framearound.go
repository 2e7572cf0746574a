package commitlog

import (
	"bytes"
	"os"
)

// lookBack is how much is read at first in front of an offset whose frame is wanted.
const lookBack = 64 << 10

// FrameAround reads the frame of a segment file in which lane offset at lies, for whoever
// knows the place of a record and no more. base is the lane offset of the file's first
// byte. It looks back from at for the header; ok is false if what it finds is no valid
// frame, or one that ends before at. A payload that is written to look like a frame at its
// very place can make it say so of a good one, so ScanFile has the last word. An error is
// a failed read or ErrVersion.
func FrameAround(path string, lane uint8, base, at int64) (f Frame, ok bool, err error) {
	file, err := os.Open(path)
	if err != nil {
		return f, false, err
	}
	defer file.Close()
	st, err := file.Stat()
	if err != nil {
		return f, false, err
	}
	limit := base + st.Size()
	if at < base || at >= limit {
		return f, false, nil
	}
	source := &plainFile{File: file, base: base, limit: limit}
	for to, n := at, int64(lookBack); to > base && at-to < FrameHeaderSize+MaxFrameBytes; n *= 4 {
		from := max(base, to-n)
		b := make([]byte, min(to+FrameHeaderSize-1, limit)-from) // a header that begins before to may end behind it
		if err := source.ReadAt(b, from-base); err != nil {
			return f, false, err
		}
		for i := bytes.LastIndex(b, magicBytes); i >= 0; i = bytes.LastIndex(b[:i+len(magicBytes)-1], magicBytes) {
			off := from + int64(i)
			if off >= to || len(b)-i < FrameHeaderSize {
				continue
			}
			end, ok := frameEnd(b[i:], MakeLoc(lane, off), limit-off)
			if !ok {
				continue
			}
			r := frameReader{f: source, lane: lane, limit: end} // nothing behind the frame is read
			p, err := r.probe(off, 0)
			if err != nil || p.extent > 0 && p.reason == nil {
				return p.frame, err == nil && end > at, err
			}
		}
		to = from
	}
	return f, false, nil
}

// frameEnd is the lane offset at which the frame ends whose header says to stand at loc.
func frameEnd(b []byte, loc Loc, room int64) (end int64, ok bool) {
	h, err := parseFrameHeader(b)
	if err != nil || h.placed(loc, room) != nil {
		return 0, false
	}
	return loc.Offset() + FrameHeaderSize + int64(h.size), true
}
