package commitlog

import (
	"fmt"
	"math"
	"os"

	"github.com/duelog/duelog/internal/durable"
)

// FileScan says how to read one segment file that the caller does not own: one of
// a store in use, or of a copy. Nothing is locked, mapped or changed.
type FileScan struct {
	Lane uint8
	Base int64 // lane offset of the file's first byte
	// From is the lane offset at which to begin: a frame boundary; below Base it
	// means Base.
	From int64
	// Limit is a lane offset beyond which nothing is read; 0 = the end of the file.
	Limit int64
	// Known is a lane offset up to which frames are known to be committed
	// (SegmentInfo.End): bad bytes before it are damage, not the torn tail, and so
	// is what the file lacks of them.
	Known int64
	// Whole says that the segment has a successor or was sealed, so nothing in it
	// can be a torn tail.
	Whole bool
	// First says that only the frame at From is wanted: nothing behind it is read, and
	// bad bytes in its place are told to nobody.
	First bool
	// LastMs is the store time of the frame before From; 0 = unknown.
	LastMs int64
	// Visit gets the frames in order, those that seal a segment not. Its error ends
	// the scan.
	Visit func(Frame) error
	// Damaged gets each range of lane offsets that holds no valid frame; it may be nil.
	Damaged func(from, to int64, reason *CorruptionError)

	// Buffer is memory that is used again by one scan after the other; it may be nil.
	Buffer *ScanBuffer
}

// ScanBuffer is the memory of a scan, a few MiB and what the longest frame needs. The
// zero value is ready.
type ScanBuffer struct {
	frames []byte
	long   []byte
	chunks [][]byte
}

// FileEnd is where a scan of a segment file ended.
type FileEnd struct {
	Pos    int64 // lane offset after the last frame
	Sealed bool  // by a seal frame
	Torn   int64 // bytes of an incomplete frame at Pos by its own header; normal in a store that is in use
	LastMs int64 // store time of the newest frame
}

// ScanFile reads the segment file at path by system calls and checks each frame
// by the rules of recovery (see the package comment). Bad bytes are told to
// Damaged and are no error; an ErrVersion is, since they are good, only not for us.
func ScanFile(path string, s FileScan) (FileEnd, error) {
	f, err := os.Open(path)
	if err != nil {
		return FileEnd{}, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return FileEnd{}, err
	}
	limit := s.Base + st.Size()
	if s.Limit > 0 {
		limit = min(limit, s.Limit)
	}
	if s.Buffer == nil {
		s.Buffer = &ScanBuffer{}
	}
	file := &plainFile{File: f, base: s.Base, limit: limit, buffer: s.Buffer}
	defer file.stop()
	w := walk{
		r:       frameReader{f: file, lane: s.Lane, limit: limit, own: s.Buffer.frames},
		last:    s.LastMs,
		growing: !s.Whole,
		floor:   min(s.Known, limit),
		visit:   s.Visit,
		damaged: s.Damaged,
	}
	if w.damaged == nil {
		w.damaged = func(int64, int64, *CorruptionError) {}
	}
	known := s.Known
	if s.Limit > 0 {
		known = min(known, s.Limit)
	}
	cut := cutShort{size: s.Base + st.Size(), known: known, tell: w.damaged}
	w.damaged = cut.damaged
	if s.First {
		return FileEnd{}, w.first(max(s.From, s.Base))
	}
	w.r.ahead = file
	end, err := w.run(max(s.From, s.Base))
	if err == nil && !end.sealed && end.pos < known && known > cut.size {
		if !cut.told {
			w.damaged(end.pos, known, w.r.corrupt(end.pos, ErrTruncated))
		}
		end = stop{pos: known}
	}
	s.Buffer.frames = w.r.own
	return FileEnd{Pos: end.pos, Sealed: end.sealed, Torn: end.torn, LastMs: w.last}, err
}

// cutShort tells of the bad bytes at the end of a file and of what the file lacks behind
// them as of one range.
type cutShort struct {
	size, known int64 // lane offsets
	tell        func(from, to int64, reason *CorruptionError)
	told        bool
}

func (c *cutShort) damaged(from, to int64, reason *CorruptionError) {
	if to == c.size && c.known > to {
		to, c.told = c.known, true
	}
	c.tell(from, to, reason)
}

// first visits the frame at off if there is a valid one.
func (w *walk) first(off int64) error {
	if off+FrameHeaderSize > w.r.limit {
		return nil
	}
	p, err := w.r.probe(off, w.last)
	if err != nil || p.reason != nil || p.frame.seal {
		return err
	}
	return w.visit(p.frame)
}

// plainFile is a file that nobody mapped. Where it is read front to back it is read
// ahead.
type plainFile struct {
	*os.File
	base   int64
	limit  int64 // lane offset beyond which nothing is read
	ahead  *fileAhead
	buffer *ScanBuffer
}

func (p *plainFile) Base() int64 { return p.base }

// ReadAt does not read what was never written: that would fill memory with zeroes.
func (p *plainFile) ReadAt(b []byte, off int64) error {
	end := durable.NextHole(p.File, off)
	if end-off >= int64(len(b)) {
		return readFull(p.File, b, off)
	}
	next := durable.NextData(p.File, end)
	if next-off < int64(len(b)) { // written meanwhile, or two pieces: b is to be of one moment
		return readFull(p.File, b, off)
	}
	clear(b[end-off:])
	return readFull(p.File, b[:end-off], off)
}

// more implements sequential.
func (p *plainFile) more(tail []byte, off int64, n int) (b []byte, ok bool, err error) {
	at := off + int64(len(tail))
	if p.ahead != nil && (p.ahead.next != at || off+int64(n) > p.ahead.limit) {
		p.stop()
	}
	if p.ahead == nil {
		end := min(p.limit, p.dataEnd(at))
		if end-at <= aheadChunk || off+int64(n) > end {
			return nil, false, nil
		}
		p.ahead = startAhead(p.File, p.base, at, end, p.buffer)
	}
	if b, err = p.ahead.more(tail, n); err != nil {
		p.stop()
	}
	return b, true, err
}

// stop ends the reading ahead.
func (p *plainFile) stop() {
	if p.ahead != nil {
		p.ahead.stop(p.buffer)
		p.ahead = nil
	}
}

// nextData passes over what was never written, or given back.
func (p *plainFile) nextData(off int64) int64 {
	return durable.NextData(p.File, off-p.base) + p.base
}

// dataEnd is where such a part begins.
func (p *plainFile) dataEnd(off int64) int64 {
	if end := durable.NextHole(p.File, off-p.base); end < math.MaxInt64-p.base {
		return end + p.base
	}
	return math.MaxInt64
}

// AppendFrame appends to dst a frame of records that stands at loc, for whoever
// writes a lane anew; the frames' order is the caller's affair.
func AppendFrame(dst []byte, loc Loc, storeMs int64, records ...Record) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, FrameHeaderSize)...)
	for i := range records {
		dst = AppendRecord(dst, &records[i])
	}
	h := frameHeader{lane: loc.Lane(), records: uint16(len(records)), loc: loc, storeMs: storeMs}
	h.encode(dst[start:])
	return dst
}

// AppendFiller appends to dst a valid frame of size bytes without records, which
// stands at loc: it takes the place of damaged bytes, so that what follows keeps
// its location. size is at least FrameHeaderSize and at most MaxFrameBytes more.
func AppendFiller(dst []byte, loc Loc, storeMs int64, size int) []byte {
	if size < FrameHeaderSize || size > FrameHeaderSize+MaxFrameBytes {
		panic(fmt.Sprintf("BUG: filler frame of %d bytes", size))
	}
	start := len(dst)
	dst = append(dst, make([]byte, size)...)
	h := frameHeader{lane: loc.Lane(), flags: flagRaw, loc: loc, storeMs: storeMs}
	h.encode(dst[start:])
	return dst
}

// Raw tells whether the frame holds opaque bytes instead of records.
func (f Frame) Raw() bool { return f.raw }

// AppendRawFrame appends to dst a frame of opaque bytes that counts as many
// records, as Log.AppendFrame writes it.
func AppendRawFrame(dst []byte, loc Loc, storeMs int64, records uint16, payload []byte) []byte {
	start := len(dst)
	dst = append(append(dst, make([]byte, FrameHeaderSize)...), payload...)
	h := frameHeader{lane: loc.Lane(), flags: flagRaw, records: records, loc: loc, storeMs: storeMs}
	h.encode(dst[start:])
	return dst
}

// Append appends the frame to dst as it stands in its file.
func (f Frame) Append(dst []byte) []byte {
	start := len(dst)
	dst = append(append(dst, make([]byte, FrameHeaderSize)...), f.Payload...)
	h := frameHeader{lane: f.Loc.Lane(), records: uint16(f.Records), loc: f.Loc, storeMs: f.StoreMs}
	if f.raw {
		h.flags |= flagRaw
	}
	h.encode(dst[start:])
	return dst
}

// AppendSeal appends the frame that ends a segment at loc.
func AppendSeal(dst []byte, loc Loc, storeMs int64) []byte {
	start := len(dst)
	dst = append(dst, make([]byte, FrameHeaderSize)...)
	h := frameHeader{lane: loc.Lane(), flags: flagSeal, loc: loc, storeMs: storeMs}
	h.encode(dst[start:])
	return dst
}
