package store

import (
	"errors"
	"math"
	"syscall"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/keyindex"
)

// The key index of a lane (package keyindex) takes the hashes of Message.Keys when
// the message is durable, before it is acknowledged. Its memtable is frozen together
// with that of the delay index, so that recovery, which scans from the smaller of
// the two, reads no more than it did for the delay index alone. Whatever happens to
// the key index, no message is delayed or lost by it.

// appendKeys appends an entry for each of hashes.
func appendKeys(dst []keyindex.Entry, loc commitlog.Loc, hashes []uint64) []keyindex.Entry {
	for _, h := range hashes {
		dst = append(dst, keyindex.Entry{Hash: h, Loc: uint64(loc)})
	}
	return dst
}

// absorbKeys hands the keys of a durable frame to the key index. It runs on the
// lane's writer goroutine; end is the lane offset after the frame.
func (s *Store) absorbKeys(l *lane, es []keyindex.Entry, end int64) {
	if l.keys == nil {
		return
	}
	l.keys.Add(es, end)
	if l.keys.MemtableFull() && l.keys.Freeze() {
		s.kickKeeper()
		s.awaitFlush(l)
	}
}

func (l *lane) freezeKeys() {
	if l.keys != nil {
		l.keys.Freeze()
	}
}

// frozen is how many memtables of the lane wait to be written, of that index of
// which it is more.
func (l *lane) frozen() int {
	n := l.index.Frozen()
	if l.keys != nil {
		n = max(n, l.keys.Frozen())
	}
	return n
}

// flushAllKeys writes the frozen memtables of all key indexes as runs.
func (s *Store) flushAllKeys() error {
	for _, l := range s.keyLanes() {
		for l.keys != nil && l.keys.Frozen() > 0 {
			if err := s.flushKeys(l); err != nil {
				return keysError(l, err)
			}
		}
	}
	return nil
}

// flushKeys writes the oldest frozen memtable of a lane. The lane bytes that the
// run stands for must be durable before recovery does not read them any more.
func (s *Store) flushKeys(l *lane) error {
	ri, wrote, err := l.keys.Flush()
	if err != nil {
		return err
	}
	if err := s.syncAsync(); err != nil {
		return err
	}
	var e edit
	if wrote {
		e.keyRun(l.id, ri)
		s.written[BytesKeys].Add(ri.Bytes())
	}
	e.keysUpTo(l.id, ri.End)
	if err := s.catalog.commit(e); err != nil {
		return err
	}
	s.kickKeys()
	return l.keys.Install(ri, wrote)
}

// tendKeys is the goroutine that merges the runs of the key indexes and drops those
// of which the messages are gone. It is the only one that takes a run away.
func (s *Store) tendKeys() {
	defer s.wg.Done()
	for {
		select {
		case <-s.stop:
			return
		case <-s.keysKick:
		}
		for _, l := range s.keyLanes() {
			if l.keys == nil {
				continue
			}
			if err := s.tendLane(l); err != nil {
				s.tendFailed(keysError(l, err))
			}
		}
	}
}

// tendFailed tells damage and want of space, which cost lookups only, from a failed
// write. What did not succeed is tried again after the next flush.
func (s *Store) tendFailed(err error) {
	var bad *keyindex.CorruptionError
	switch {
	case errors.Is(err, keyindex.ErrStopped):
	case errors.As(err, &bad), errors.Is(err, syscall.ENOSPC):
		s.log.Error("runs of the key index cannot be merged", "error", err)
	default:
		s.keeperFailed(err)
	}
}

func (s *Store) tendLane(l *lane) error {
	if err := s.dropDeadKeys(l); err != nil {
		return err
	}
	for old := l.keys.MergePlan(); old != nil; old = l.keys.MergePlan() {
		if err := s.mergeKeys(l, old); err != nil {
			return err
		}
	}
	return nil
}

// dropDeadKeys drops the runs of which no segment is left. It asks for the runs first:
// a segment is there before its run is, so one that comes meanwhile, as with a move to
// a cold file, is not taken for a run without a segment.
func (s *Store) dropDeadKeys(l *lane) error {
	runs := l.keys.Runs()
	segments := l.held()
	for _, ri := range runs {
		if covered(segments, ri) {
			continue
		}
		var e edit
		e.keyRunGone(l.id, ri)
		if err := s.catalog.commit(e); err != nil {
			return err
		}
		if err := l.keys.Drop(ri); err != nil {
			return err
		}
		s.log.Info("run of the key index dropped", "lane", l.id, "start", ri.Start, "end", ri.End, "keys", ri.Count)
	}
	return nil
}

// covered reports whether a segment has bytes of the range of a run.
func covered(segments []commitlog.SegmentInfo, ri keyindex.RunInfo) bool {
	for _, seg := range segments {
		end := seg.End
		if !seg.Sealed {
			end = math.MaxInt64 // it grows
		}
		if seg.Base < ri.End && end > ri.Start {
			return true
		}
	}
	return false
}

// mergeKeys makes one run of several and leaves out what lies before the oldest
// segment.
func (s *Store) mergeKeys(l *lane, old []keyindex.RunInfo) error {
	var keep func(uint64) bool
	if segments := l.held(); len(segments) > 0 && segments[0].Base > old[0].Start {
		oldest := uint64(commitlog.MakeLoc(l.id, segments[0].Base))
		keep = func(loc uint64) bool { return loc >= oldest }
	}
	ri, wrote, err := l.keys.Merge(old, keep, s.stopping)
	if err != nil {
		return err
	}
	var e edit
	for _, o := range old {
		e.keyRunGone(l.id, o)
	}
	if wrote {
		e.keyRun(l.id, ri)
		s.written[BytesKeys].Add(ri.Bytes())
	}
	if err := s.catalog.commit(e); err != nil {
		return err
	}
	return l.keys.Replace(old, ri, wrote)
}

func (s *Store) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}
