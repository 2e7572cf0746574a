package commitlog

import (
	"fmt"

	"github.com/duelog/duelog/commitlog/segment"
)

// trimMin is how many unused bytes of a sealed segment are worth giving back.
const trimMin = 64 << 10

// RollIfOld seals the segment that is being written if it holds anything and is
// older than Options.RollAfter at nowMs. The next append opens a new one. An owner
// calls it now and then so that a quiet lane's segments come to an end too.
func (l *Log) RollIfOld(nowMs int64) error {
	return l.RollIf(func(info SegmentInfo) bool { return l.tooOld(&info, nowMs) })
}

// RollIf seals the segment that is being written if wanted says so of its figures;
// an empty one is never asked about. The next append opens a new one.
func (l *Log) RollIf(wanted func(SegmentInfo) bool) error {
	if !l.wmu.TryLock() {
		return nil // a frame is being committed, perhaps waiting for this very owner; there is a next time
	}
	defer l.wmu.Unlock()
	if l.closed.Load() {
		return ErrClosed
	}
	if err := l.in.failure(); err != nil {
		return err
	}
	if l.active == nil {
		return nil
	}
	l.smu.Lock()
	info := l.infos[len(l.infos)-1]
	l.smu.Unlock()
	if info.End == info.Base || !wanted(info) {
		return nil
	}
	return l.seal()
}

// SkipTo makes sure that no offset below off is used again. It is for an owner
// that, right after Open, knows of locations that the lane has lost.
func (l *Log) SkipTo(off int64) error {
	l.wmu.Lock()
	defer l.wmu.Unlock()
	if l.closed.Load() {
		return ErrClosed
	}
	if off <= l.pos {
		return nil
	}
	if l.active != nil {
		if err := l.seal(); err != nil {
			return err
		}
	}
	size := l.o.SegmentSize
	l.pos = max(l.pos, (off+size-1)/size*size)
	l.tail.Store(l.pos)
	return nil
}

// old tells whether the active segment is due to be rolled by age.
func (l *Log) old(nowMs int64) bool {
	if l.o.RollAfter <= 0 {
		return false
	}
	l.smu.Lock()
	defer l.smu.Unlock()
	return l.tooOld(&l.infos[len(l.infos)-1], nowMs)
}

func (l *Log) tooOld(info *SegmentInfo, nowMs int64) bool {
	return l.o.RollAfter > 0 && info.End > info.Base && nowMs-info.CreatedMs >= l.o.RollAfter.Milliseconds()
}

// wantNext tells whether it is time to prepare the next segment.
func (l *Log) wantNext() bool {
	return l.o.Reserve || l.pos-l.active.Base() >= l.o.SegmentSize/2
}

// begin makes f, registered and empty, the active segment.
func (l *Log) begin(f *segment.File) {
	l.chain.Add(f)
	l.smu.Lock()
	l.infos = append(l.infos, SegmentInfo{Base: f.Base(), End: f.Base()})
	l.smu.Unlock()
	l.active, l.pos = f, f.Base()
	l.tail.Store(l.pos)
}

// seal ends the active segment: a seal frame if there is room for one, a sync, and
// the owner is told. pos then stands at the base of the segment to come.
func (l *Log) seal() error {
	end := l.active.Base() + l.o.SegmentSize
	if end-l.pos >= FrameHeaderSize {
		if err := l.writeSeal(); err != nil {
			return err
		}
	}
	if err := l.syncSealed(); err != nil {
		return err
	}
	// Once it is known to be sealed, retention may remove the segment. The reference
	// keeps its file from being used for another one while it is trimmed.
	sealed := l.active
	sealed.Acquire()
	defer sealed.Release()
	info := l.sealInfo()
	if err := l.o.Hooks.SegmentSealed(l.o.Lane, info); err != nil {
		return l.fail(fmt.Errorf("register seal of %s: %w", l.active.Name(), err))
	}
	if end-info.End >= trimMin {
		if err := sealed.Trim(info.End - info.Base); err != nil {
			l.logger.Warn("unused end of segment keeps its blocks", "error", err)
		}
	}
	l.active, l.pos = nil, end
	l.tail.Store(end)
	return nil
}

func (l *Log) writeSeal() error {
	h := frameHeader{lane: l.o.Lane, flags: flagSeal, loc: MakeLoc(l.o.Lane, l.pos), storeMs: l.clock}
	var frame [FrameHeaderSize]byte
	h.encode(frame[:])
	if err := l.active.WriteAt(frame[:], l.pos-l.active.Base()); err != nil {
		return l.fail(err)
	}
	l.pos += FrameHeaderSize
	return nil
}

// syncSealed makes the whole segment durable. It waits for a background flush of
// the same file: the kernel reports a write error to one of two syncs only.
func (l *Log) syncSealed() error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	if err := l.in.failure(); err != nil {
		return err
	}
	if err := l.active.Sync(); err != nil {
		return l.fail(err)
	}
	return nil
}

// sealInfo closes the segment's figures.
func (l *Log) sealInfo() SegmentInfo {
	l.smu.Lock()
	defer l.smu.Unlock()
	info := &l.infos[len(l.infos)-1]
	info.End = l.pos
	info.Sealed = true
	info.LastStoreMs = max(info.LastStoreMs, l.clock)
	l.unsynced = syncPoint{}
	return *info
}
