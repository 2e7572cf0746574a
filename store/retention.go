package store

import (
	"errors"
	"fmt"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/consumequeue"
)

// retain is one pass of retention: slots whose message is past its time are
// cut off the queues, then segments in which nothing is alive go back to the
// pool, where the next segment is taken from.
func (s *Store) retain() error {
	s.checkpointMu.Lock()
	defer s.checkpointMu.Unlock()
	now := s.clock.NowMs()
	for _, q := range s.registry.all() {
		s.trim(q, now)
	}
	for _, l := range s.lanes {
		if err := s.dropDead(l, now); err != nil {
			return fmt.Errorf("recycle dead segments of lane %d: %w", l.id, err)
		}
	}
	return nil
}

// trimFailed leaves a queue as it is: a damaged file of one must not keep the
// others from being trimmed.
func (s *Store) trimFailed(q *Queue, err error) {
	if !errors.Is(err, consumequeue.ErrClosed) { // else the topic was deleted meanwhile
		s.log.Error("queue cannot be trimmed", "topic", q.key.topic, "queue", q.key.num, "error", err)
	}
}

// trim raises the queue's minimum over the slots that are dead at now.
func (s *Store) trim(q *Queue, now int64) {
	var buf [256]consumequeue.Entry
	first := q.cq.Min()
	slot := first
	for {
		n, err := q.cq.Read(slot, buf[:])
		if err != nil {
			s.trimFailed(q, err)
			return
		}
		dead := 0
		for dead < n && s.entryDead(&buf[dead], now) {
			dead++
		}
		slot += int64(dead)
		if dead < len(buf) {
			break
		}
	}
	if slot > first {
		q.cq.TrimBefore(slot)
		q.extentDirty.Store(true)
	}
}

func (s *Store) entryDead(e *consumequeue.Entry, now int64) bool {
	if e.Flags&consumequeue.FlagScheduled != 0 {
		return e.DeliverMs+s.opts.ScheduledRetention.Milliseconds() <= now
	}
	return e.DeliverMs+s.opts.Retention.Milliseconds() <= now
}

// dropDead recycles the sealed segments of a lane in which nothing is alive (I4).
func (s *Store) dropDead(l *lane, now int64) error {
	var st replayPoint
	var indexed int64
	var m mark
	s.catalog.view(func(c *catalogState) { st, indexed, m = c.replay, c.indexed[l.id], c.mark })
	for _, info := range l.log.Segments() {
		if !info.Sealed || !s.segmentDead(&info, now) {
			continue
		}
		// Recovery still reads it, or an entry of it is not done. What counts is the
		// end of its messages: nobody absorbs the seal behind them.
		end := info.End - commitlog.FrameHeaderSize
		if end > indexed || l.id == 0 && end > st.lane0 || end > m.absorbed[l.id] || info.MaxFireMs > m.firedMs {
			continue
		}
		if s.runRefersTo(l, info.Base, end) {
			continue
		}
		if err := s.removeSegment(l.id, l.log, info.Base); err != nil {
			return err
		}
		s.log.Info("segment recycled", "lane", l.id, "base", info.Base, "records", info.Records)
	}
	return nil
}

func (s *Store) segmentDead(info *commitlog.SegmentInfo, now int64) bool {
	return (info.MaxFireMs == 0 || info.MaxFireMs+s.opts.ScheduledRetention.Milliseconds() <= now) &&
		(info.MaxStoreMs == 0 || info.MaxStoreMs+s.opts.Retention.Milliseconds() <= now)
}

func (s *Store) runRefersTo(l *lane, start, end int64) bool {
	for _, r := range l.index.Runs() {
		if r.Start < end && r.End > start {
			return true
		}
	}
	return false
}

// removeSegment forgets a segment durably, then gives its file back.
func (s *Store) removeSegment(lane uint8, log *commitlog.Log, base int64) error {
	var e edit
	e.segmentGone(lane, base)
	if err := s.catalog.commit(e); err != nil {
		return err
	}
	return log.Remove(base)
}
