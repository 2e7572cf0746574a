package store

import (
	"time"

	"github.com/duelog/duelog/delayindex"
)

// maxFrozen is how many memtables of a lane may wait to be written before the
// lane's writer waits too, and with it, by the lane's bound, the producers. Of
// messages that the index does not take at present it is twice MaxIndexBacklog.
const maxFrozen = 4

// absorb hands the scheduled messages of a durable frame to the delay index
// and, within the horizon, to the near wheel. It runs on the lane's writer
// goroutine; end is the lane offset after the frame.
func (s *Store) absorb(l *lane, es []delayindex.Entry, end int64) {
	s.pending.Add(int64(len(es)))
	n := s.near
	n.mu.Lock()
	if l.enterSegment(end) {
		l.bornMs = 0
		s.kickKeeper()
	}
	l.index.Add(es, end)
	for i := range es {
		n.addLocked(&es[i])
	}
	n.absorbed[l.id] = end
	wake := n.wakeMsLocked() < s.deadlineMs.Load()
	if l.bornMs == 0 {
		l.bornMs = s.clock.NowMs()
	}
	full := l.index.MemtableFull() || end-l.index.MemtableStart() >= s.opts.MemtableBytes
	if full && l.index.Freeze() {
		l.bornMs = 0
		l.freezeKeys()
	}
	nearShut, nearChanged := s.judgeNearLocked()
	n.mu.Unlock()

	if nearChanged {
		s.logGate(nearShut, BusyNear)
	}
	if wake {
		s.clock.wake()
	}
	if full {
		s.judgeIndex(l)
		s.kickKeeper()
		s.awaitFlush(l)
	}
}

// awaitFlush slows the writer down when the keeper does not keep up.
func (s *Store) awaitFlush(l *lane) {
	for l.frozen() > max(maxFrozen, 2*s.opts.MaxIndexBacklog) && !s.closed.Load() && s.failure.Load() == nil {
		time.Sleep(time.Millisecond)
	}
}
