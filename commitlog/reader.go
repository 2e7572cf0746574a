package commitlog

import (
	"bytes"
	"errors"
)

const (
	// readAhead is how much is read at a time.
	readAhead = 1 << 20
	// resyncWindow is how far behind a bad frame at the end of a lane valid frames
	// are looked for, before the bad frame counts as the torn tail.
	resyncWindow = 32 << 20
)

// source is a segment file: one in a chain, or one that somebody else owns.
type source interface {
	ReadAt(b []byte, off int64) error
	Base() int64
	Name() string
}

// sequential is a source that is quicker where it is read front to back.
type sequential interface {
	// more returns at least n bytes from off on, of which tail are the first. They stay
	// valid until the next call. It is not ok if they are to be read by ReadAt.
	more(tail []byte, off int64, n int) (b []byte, ok bool, err error)
}

// frameReader reads frames of one segment by pread. Offsets are lane offsets.
type frameReader struct {
	f     source
	lane  uint8
	limit int64      // nothing at or beyond it is read
	own   []byte     // what ReadAt reads into
	buf   []byte     // what was read last: in own, or of ahead
	at    int64      // offset of buf[0]
	ahead sequential // f, if it is one and is to be read so; else nil
	bad   []int64    // where headers of bad frames were met that name their own position
}

// window returns the bytes from off on, at least n of them. Ask for n only where
// off+n <= limit.
func (r *frameReader) window(off int64, n int) ([]byte, error) {
	if have := r.at + int64(len(r.buf)) - off; off >= r.at && have >= int64(n) {
		return r.buf[off-r.at:], nil
	}
	if b, ok, err := r.follow(off, n); ok {
		r.at, r.buf = off, b
		return b, err
	}
	want := int(min(max(int64(n), readAhead), r.limit-off))
	if cap(r.own) < want {
		r.own = make([]byte, want)
	}
	r.at, r.buf = off, r.own[:want]
	if err := r.f.ReadAt(r.buf, off-r.f.Base()); err != nil {
		r.buf = nil
		return nil, err
	}
	return r.buf, nil
}

// follow is a window that begins in the last one or right behind it.
func (r *frameReader) follow(off int64, n int) (b []byte, ok bool, err error) {
	if r.ahead == nil || len(r.buf) == 0 || off < r.at || off > r.at+int64(len(r.buf)) {
		return nil, false, nil
	}
	return r.ahead.more(r.buf[off-r.at:], off, n)
}

// probe is what stands at one offset.
type probe struct {
	frame  Frame
	reason error // why it is not a valid frame; nil if it is
	extent int64 // length of the frame if the header is placed, valid or not; else 0
}

// probe looks at off, where a full header must fit before limit. last is the store
// time of the frame before. err is a failed read or an ErrVersion, which must stop
// the reader: the bytes are good, only not for us.
func (r *frameReader) probe(off, last int64) (p probe, err error) {
	b, err := r.window(off, FrameHeaderSize)
	if err != nil {
		return p, err
	}
	h, reason := parseFrameHeader(b)
	if reason == nil {
		reason = h.placed(MakeLoc(r.lane, off), r.limit-off)
	}
	if reason != nil {
		return probe{reason: reason}, nil
	}
	p.extent = FrameHeaderSize + int64(h.size)
	if b, err = r.window(off, int(p.extent)); err != nil {
		return p, err
	}
	b = b[:p.extent]
	switch reason := h.verify(b); {
	case errors.Is(reason, ErrVersion):
		return p, r.corrupt(off, reason)
	case reason == nil && h.storeMs < last:
		p.reason = ErrStale
	default:
		p.reason = reason
	}
	p.frame = h.frame(b)
	if p.reason != nil {
		r.bad = append(r.bad, off)
	}
	return p, nil
}

// resync finds the first valid frame behind the bad bytes at off, if it starts
// before until. A header at its own place is trusted for its length even when its
// frame is bad: no frame starts inside another one, and what looks like one there is
// somebody's payload.
func (r *frameReader) resync(off, until, last int64, bad probe) (at int64, found bool, err error) {
	until = min(until, r.limit-FrameHeaderSize+1)
	at, found, err = r.successor(off, until, last, bad)
	for !found && err == nil {
		if bad.extent > 0 && !bad.frame.raw {
			off += bad.extent
		} else if off, err = r.nextMagic(off+1, until); err != nil {
			break
		}
		if off >= until {
			break
		}
		bad, err = r.probe(off, last)
		at, found = off, err == nil && bad.reason == nil
	}
	return at, found, err
}

// successor looks for the frame right behind a bad one whose header is placed:
// where its length says or, should the length be what is damaged, where its
// records end.
func (r *frameReader) successor(off, until, last int64, bad probe) (at int64, found bool, err error) {
	if bad.extent == 0 {
		return 0, false, nil
	}
	counted, err := r.recordsEnd(off, bad.frame.Records)
	if err != nil {
		return 0, false, err
	}
	for _, n := range []int64{bad.extent, counted} {
		if at = off + n; n == 0 || at >= until {
			continue
		}
		if p, err := r.probe(at, last); err != nil || p.reason == nil {
			return at, err == nil, err
		}
	}
	return 0, false, nil
}

// recordsEnd is the length of the frame at off by its record headers alone, or 0 if
// they make no sense. It does not need the frame's own length.
func (r *frameReader) recordsEnd(off int64, records int) (int64, error) {
	n := int64(FrameHeaderSize)
	for range records {
		if off+n+RecordHeaderSize > r.limit {
			return 0, nil
		}
		b, err := r.window(off+n, RecordHeaderSize)
		if err != nil {
			return 0, err
		}
		it, err := ParseRecordHeader(b)
		if err != nil {
			return 0, nil
		}
		n += RecordHeaderSize + int64(it.Size)
	}
	return n, nil
}

var magicBytes = []byte("DLF")

// nextMagic is the first offset in [off, until) at which a magic stands, or until.
func (r *frameReader) nextMagic(off, until int64) (int64, error) {
	sparse, _ := r.f.(interface{ nextData(off int64) int64 })
	for off < until {
		if sparse != nil && r.at+int64(len(r.buf))-off < FrameHeaderSize { // what comes next is not read yet
			if off = sparse.nextData(off); off >= until {
				break
			}
		}
		b, err := r.window(off, FrameHeaderSize)
		if err != nil {
			return 0, err
		}
		if i := bytes.Index(b, magicBytes); i >= 0 {
			return min(off+int64(i), until), nil
		}
		off += int64(len(b) - len(magicBytes) + 1)
	}
	return until, nil
}

func (r *frameReader) corrupt(off int64, reason error) *CorruptionError {
	return &CorruptionError{Path: r.f.Name(), Offset: off - r.f.Base(), Err: reason}
}

// walk visits the frames of one segment in order.
type walk struct {
	r    frameReader
	last int64 // store time of the newest frame so far
	// growing says that the end of the frames is not known: bad bytes with nothing
	// valid behind them are the torn tail, not damage.
	growing bool
	// floor is an offset that was once known to be committed; bytes before it
	// cannot be the torn tail.
	floor   int64
	visit   func(Frame) error
	damaged func(from, to int64, reason *CorruptionError)
}

// stop is where a walk ended.
type stop struct {
	pos     int64   // after the last frame
	sealed  bool    // nothing can be appended to the segment
	torn    int64   // bytes of an incomplete frame at pos, by its own header
	rejects []int64 // where bad frames behind the last good one have their headers
}

// run walks from off, a frame boundary, to the reader's limit.
func (w *walk) run(off int64) (s stop, err error) {
	s.pos = off
	for !s.sealed && s.pos+FrameHeaderSize <= w.r.limit {
		p, err := w.r.probe(s.pos, w.last)
		if err != nil {
			return s, err
		}
		if p.reason != nil {
			on, err := w.skip(&s, p)
			if err != nil || !on {
				return s, err
			}
			continue
		}
		w.last = max(w.last, p.frame.StoreMs)
		if s.sealed = p.frame.seal; !s.sealed {
			if err := w.visit(p.frame); err != nil {
				return s, err
			}
		}
		s.pos = p.frame.End
	}
	return s, nil
}

// skip decides what the bad bytes at s.pos are. It reports whether to go on there.
func (w *walk) skip(s *stop, p probe) (on bool, err error) {
	until := w.r.limit
	if w.growing {
		until = min(until, max(s.pos, w.floor)+resyncWindow)
	}
	bad := w.r.corrupt(s.pos, p.reason)
	w.r.bad = w.r.bad[:0]
	if p.extent > 0 {
		w.r.bad = append(w.r.bad, s.pos)
	}
	at, found, err := w.r.resync(s.pos, until, w.last, p)
	switch {
	case err != nil:
		return false, err
	case found:
		w.damaged(s.pos, at, bad)
		s.pos = at
		return true, nil
	case !w.growing:
		w.damaged(s.pos, w.r.limit, bad)
		s.pos = w.r.limit
	case s.pos < w.floor:
		w.damaged(s.pos, w.floor, bad)
		s.pos, s.rejects = w.floor, w.r.bad
	default:
		s.torn, s.rejects = p.extent, w.r.bad
	}
	return false, nil
}
