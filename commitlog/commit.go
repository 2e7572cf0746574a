package commitlog

import (
	"errors"
	"fmt"
	"runtime"
)

// writeLoop is the lane's writer: it commits whatever is queued, and repeats.
func (l *Log) writeLoop() {
	for b := l.in.take(); b != nil; b = l.in.take() {
		l.commit(b)
		l.in.done(b)
		// Let the producers that were just acknowledged run and queue their next
		// records, or half of them miss each batch: 48 instead of 32 records per sync
		// with 64 blocking producers, 14 instead of 8 with 16.
		runtime.Gosched()
	}
}

func (l *Log) commit(b *batch) {
	l.wmu.Lock()
	storeMs, err := l.commitBatch(b)
	l.wmu.Unlock()
	for i := range b.items {
		it := &b.items[i]
		if it.Done != nil {
			it.Done.Complete(it.Cookie, it, storeMs, err)
		}
	}
}

// commitBatch gives the batch its place, lets the owner assign, writes, and tells
// the owner. Called with wmu held.
func (l *Log) commitBatch(b *batch) (storeMs int64, err error) {
	storeMs = l.tick(0)
	if err := l.place(len(b.buf), storeMs); err != nil {
		b.unplace()
		return storeMs, err
	}
	loc := MakeLoc(l.o.Lane, l.pos)
	b.moveTo(loc)
	l.o.Hooks.Assign(b.items, storeMs)
	b.patch(loc)
	h := frameHeader{lane: l.o.Lane, records: uint16(len(b.items)), loc: loc, storeMs: storeMs}
	var end int64
	if err = l.writeFrame(b.buf, &h); err == nil {
		end = l.advance(&h, len(b.buf), b.unscheduled > 0, b.maxFireMs)
	}
	l.o.Hooks.Committed(b.items, storeMs, end, err)
	return storeMs, err
}

// AppendFrame writes payload as one raw frame in the caller's goroutine and
// returns when it is committed under the flush policy. records is the caller's
// count (at most 65535), storeMs its clock, raised if a frame before it was later.
// Loc is that of the frame header; the payload follows after FrameHeaderSize bytes.
func (l *Log) AppendFrame(payload []byte, records int, storeMs int64) (Loc, error) {
	if len(payload) > l.o.maxFrame() || records < 0 || records > maxFrameRecords {
		return 0, ErrTooLarge
	}
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if l.closed.Load() {
		return 0, ErrClosed
	}
	n := FrameHeaderSize + len(payload)
	storeMs = l.tick(storeMs)
	if err := l.place(n, storeMs); err != nil {
		return 0, err
	}
	l.scratch = append(l.scratch[:0], make([]byte, FrameHeaderSize)...)
	l.scratch = append(l.scratch, payload...)
	h := frameHeader{lane: l.o.Lane, flags: flagRaw, records: uint16(records), loc: MakeLoc(l.o.Lane, l.pos), storeMs: storeMs}
	if err := l.writeFrame(l.scratch, &h); err != nil {
		return 0, err
	}
	l.advance(&h, n, true, 0)
	return h.loc, nil
}

// Reserve makes sure that AppendFrame of n payload bytes will not find the disk
// full. The caller is the only one to append.
func (l *Log) Reserve(n int, storeMs int64) error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if l.closed.Load() {
		return ErrClosed
	}
	return l.place(FrameHeaderSize+n, l.tick(storeMs))
}

// tick is the store time of the next frame: the given or the present time, but
// never before the last one.
func (l *Log) tick(nowMs int64) int64 {
	if nowMs == 0 {
		nowMs = l.o.Now()
	}
	l.clock = max(l.clock, nowMs)
	return l.clock
}

// writeFrame completes the header at the front of frame and puts it at pos,
// durably when the policy asks for it.
func (l *Log) writeFrame(frame []byte, h *frameHeader) error {
	h.encode(frame)
	if err := l.active.WriteAt(frame, l.pos-l.active.Base()); err != nil {
		return l.fail(err)
	}
	if l.o.Flush == Sync {
		if err := l.active.Sync(); err != nil {
			return l.fail(err)
		}
	}
	return nil
}

// advance makes a written frame of n bytes part of the log.
func (l *Log) advance(h *frameHeader, n int, unscheduled bool, maxFireMs int64) (end int64) {
	end = l.pos + int64(n)
	l.pos = end
	l.smu.Lock()
	info := &l.infos[len(l.infos)-1]
	info.Count(int64(h.records), h.storeMs, unscheduled, maxFireMs)
	info.End = end
	if l.o.Flush == Async {
		l.noteUnsynced(n)
	}
	l.smu.Unlock()
	l.tail.Store(end)
	if l.wantNext() {
		l.next.start(l.active.Base() + l.o.SegmentSize)
	}
	return end
}

// Count adds a frame to the figures, all but End: how many records it has, when it was
// written, whether any of them were not scheduled, and the latest fire time of the others.
func (s *SegmentInfo) Count(records, storeMs int64, unscheduled bool, maxFireMs int64) {
	s.Records += records
	s.LastStoreMs = max(s.LastStoreMs, storeMs)
	if unscheduled {
		s.MaxStoreMs = max(s.MaxStoreMs, storeMs)
	}
	s.MaxFireMs = max(s.MaxFireMs, maxFireMs)
	if s.CreatedMs == 0 {
		s.CreatedMs = storeMs
	}
}

// place makes sure that n bytes fit at pos, in a new segment if need be. Without a
// new one, an old segment that still has room goes on.
func (l *Log) place(n int, nowMs int64) error {
	if err := l.in.failure(); err != nil {
		return err
	}
	fits := l.active != nil && l.pos+int64(n) <= l.active.Base()+l.o.SegmentSize
	if fits && !l.old(nowMs) {
		return nil
	}
	err := l.roll()
	switch {
	case err == nil || l.in.failure() != nil:
		return err
	case fits && l.active != nil:
		return nil
	}
	l.in.refuseUntil(err, l.next.retryAt())
	return err
}

// roll gets the next segment first and seals the present one only then.
func (l *Log) roll() error {
	base := l.pos
	if l.active != nil {
		base = l.active.Base() + l.o.SegmentSize
	}
	f, err := l.next.take(base)
	if err != nil {
		return err
	}
	if l.active != nil {
		if err := l.seal(); err != nil {
			f.Release()
			return err
		}
	}
	if err := l.o.Hooks.SegmentAdded(l.o.Lane, base); errors.Is(err, ErrDiskFull) {
		l.next.putBack(f)
		return err
	} else if err != nil {
		f.Release()
		return l.fail(fmt.Errorf("register segment %s: %w", l.chain.Path(base), err))
	}
	l.begin(f)
	return nil
}
