package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/consumequeue"
)

// retentionEvery is the time between two passes of retention. What a message took
// on disk goes with the second pass after its time at the latest.
const retentionEvery = 15 * time.Second

// Retention in three steps, each of which costs what is dead, not what is there:
//
//   - A message that is past its time is not read any more: from that millisecond on
//     its slot reads as void, wherever in its queue it stands.
//   - A pass cuts dead slots off the front of the queues.
//   - It gives the bytes back: a segment in which all is dead as a file, for reuse;
//     in the others the units of 64 KiB in which all is dead, as holes. Holes come a
//     pass later than the void slots, so that nobody is reading there.
func (s *Store) retain() error {
	s.checkpointMu.Lock()
	defer s.checkpointMu.Unlock()
	now := s.clock.NowMs()
	s.moveSizeCutoff()
	for _, q := range s.registry.all() {
		s.trim(q, now)
	}
	for _, l := range s.lanes {
		if err := s.dropDead(l, now); err != nil {
			return fmt.Errorf("recycle dead segments of lane %d: %w", l.id, err)
		}
		if err := s.giveBackDead(l, now-retentionEvery.Milliseconds()); err != nil {
			return fmt.Errorf("give space of lane %d back: %w", l.id, err)
		}
	}
	if err := s.retainCold(now); err != nil {
		return fmt.Errorf("give back dead cold messages: %w", err)
	}
	if err := s.trimCancels(); err != nil {
		return fmt.Errorf("compact cancel log: %w", err)
	}
	return nil
}

// moveSizeCutoff finds the offset of lane 0 that has RetentionBytes of the lane
// behind it; ordinary messages before it are dead. It never moves back.
func (s *Store) moveSizeCutoff() {
	left := s.opts.RetentionBytes
	if left == 0 {
		return
	}
	segments := s.lanes[0].log.Segments()
	for i := len(segments) - 1; i >= 0; i-- {
		size := segments[i].End - segments[i].Base
		if size >= left {
			s.sizeCutoff.Store(max(s.sizeCutoff.Load(), segments[i].End-left))
			return
		}
		left -= size
	}
}

// trimFailed leaves a queue as it is: a damaged file of one must not keep the
// others from being trimmed.
func (s *Store) trimFailed(q *Queue, err error) {
	if !errors.Is(err, consumequeue.ErrClosed) { // else the topic was deleted meanwhile
		s.log.Error("queue cannot be trimmed", "topic", q.key.topic, "queue", q.key.num, "error", err)
	}
}

// trim raises the queue's minimum over the slots that are dead at now. The first slot
// that stays is remembered: as long as it lives there is nothing to read.
func (s *Store) trim(q *Queue, now int64) {
	var buf [256]consumequeue.Entry
	first := q.cq.Min()
	if first == q.cq.Visible() || q.head.slot == first && q.head.entry != (consumequeue.Entry{}) && !s.entryDead(&q.head.entry, now) {
		return
	}
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
		if dead < n {
			q.head.slot, q.head.entry = slot, buf[dead]
		}
		if dead < len(buf) {
			break
		}
	}
	if slot > first {
		q.cq.TrimBefore(slot)
		q.extentDirty.Store(true)
	}
}

// entryDead tells whether the message of a slot is past its retention.
func (s *Store) entryDead(e *consumequeue.Entry, now int64) bool {
	if e.Flags&consumequeue.FlagScheduled != 0 {
		return e.DeliverMs+s.opts.ScheduledRetention.Milliseconds() <= now
	}
	return e.DeliverMs+s.opts.Retention.Milliseconds() <= now || int64(e.Loc) < s.sizeCutoff.Load() // ordinary ones are in lane 0
}

// dropDead recycles the segments of a lane in which nothing is alive (I4). One that
// is being written is sealed for that. A run may still have entries of it: they are
// done, and if the run is rebuilt one day they are not missed.
func (s *Store) dropDead(l *lane, now int64) error {
	k := s.known(l)
	err := l.log.RollIf(func(info commitlog.SegmentInfo) bool {
		return s.segmentDead(l, &info, now) && info.MaxFireMs <= k.firedMs
	})
	if err != nil && !errors.Is(err, commitlog.ErrClosed) {
		s.log.Warn("dead segment cannot be sealed yet", "lane", l.id, "error", err)
	}
	for _, info := range l.log.Segments() {
		// What counts is the end of its messages: nobody absorbs the seal behind them.
		end := info.End - commitlog.FrameHeaderSize
		if !info.Sealed || !s.segmentDead(l, &info, now) || end > k.upTo || info.MaxFireMs > k.firedMs {
			continue
		}
		if err := s.removeSegment(l.id, l.log, info.Base); err != nil {
			return err
		}
		s.log.Info("segment recycled", "lane", l.id, "base", info.Base, "records", info.Records)
	}
	return nil
}

// known is what recovery will know of a lane from the catalog: it reads the lane
// from upTo on, and entries up to firedMs before it are done.
type known struct{ upTo, firedMs int64 }

func (s *Store) known(l *lane) known {
	var k known
	s.catalog.view(func(c *catalogState) {
		k = known{upTo: min(c.indexed[l.id], c.keysUpTo(l), c.mark.absorbed[l.id]), firedMs: c.mark.firedMs}
		if l.id == 0 {
			k.upTo = min(k.upTo, c.replay.lane0)
		}
	})
	return k
}

// giveBackDead frees the units of a lane that were dead at a time, where recovery
// reads only if a run is damaged, and then knows that they are gone.
func (s *Store) giveBackDead(l *lane, at int64) error {
	k := s.known(l)
	dead := func(u unit, end int64) bool {
		return int64(u.fireSec)*1000 <= k.firedMs && s.unitDead(u, end, l, at)
	}
	var ranges []commitlog.Range
	var e edit
	for _, info := range l.log.Segments() {
		cut := l.id == 0 && info.Base < s.sizeCutoff.Load()
		if !cut && l.deaths.quiet(info.Base, at) {
			continue
		}
		for _, r := range l.deaths.dead(info.Base, min(k.upTo, info.End), dead) {
			ranges = append(ranges, r)
			e.givenBack(l.id, info.Base, r)
		}
		if info.Sealed {
			l.deaths.setQuiet(info.Base, s.nextDeath(l, info.Base))
		}
	}
	if len(ranges) == 0 {
		return nil
	}
	if err := s.catalog.commit(e); err != nil {
		return err
	}
	for _, r := range ranges {
		l.deaths.gone(r)
	}
	s.free(l, ranges)
	return nil
}

// nextDeath is when a unit of a segment dies next.
func (s *Store) nextDeath(l *lane, base int64) int64 {
	next := noDeadline
	l.deaths.each(base, func(u unit, _ commitlog.Range) { next = min(next, s.deathMs(u)) })
	return next
}

// free gives registered ranges back. What cannot be freed now is when the store is
// opened again, or with its segment.
func (s *Store) free(l *lane, ranges []commitlog.Range) {
	if err := l.log.GiveBack(ranges...); err != nil && !errors.Is(err, commitlog.ErrClosed) {
		s.log.Warn("space of expired messages is not given back yet", "lane", l.id, "error", err)
	}
}

// fireDeathMs is when the scheduled messages of u are dead. Their slots count from when
// they really fired, which is up to lateSlack after their time without u knowing.
func (s *Store) fireDeathMs(u unit) int64 {
	return int64(u.fireSec)*1000 + lateSlack + s.opts.ScheduledRetention.Milliseconds()
}

func (s *Store) segmentDead(l *lane, info *commitlog.SegmentInfo, now int64) bool {
	return s.unitDead(unit{ceilSec(info.MaxFireMs), ceilSec(info.MaxStoreMs)}, info.End, l, now)
}

// unitDead tells whether all messages of u, which ends at lane offset end, are dead.
func (s *Store) unitDead(u unit, end int64, l *lane, now int64) bool {
	if u.fireSec != 0 && s.fireDeathMs(u) > now {
		return false
	}
	return u.storeSec == 0 || int64(u.storeSec)*1000+s.opts.Retention.Milliseconds() <= now ||
		l.id == 0 && end <= s.sizeCutoff.Load()
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
