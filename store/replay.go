package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"syscall"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/consumequeue"
)

// Recovery puts the slots again that the journal says were given, from the replay
// point on. With commitlog.Async a power loss may leave firings of messages that their
// lane has lost. Their slots are void, and their locations are never given to another
// message, which the journal would say was fired. Both must hold over the next
// crash too, before the replay point has passed these firings: so the lane skips to
// its next segment, durably, and what lies behind the end of a segment was lost
// whatever the lane has reached since.

// What recovery holds of a firing is its location, and of its slot what the queue held
// before the crash. So the journal is read twice: for the locations, which the scan of
// the lanes asks for, and for the slots, which need the lanes. How many firings there are
// is bounded by Options.CheckpointFirings; only those of the millisecond in which firing was
// when it stopped are not covered by any checkpoint, and may be more.

// replayFlush is after how many slots that were put again the queues are flushed. Their
// files then reach beyond what the checkpoint vouches for, which the next recovery, should
// this one be cut short, does not read and writes again.
const replayFlush = 1 << 20

// openJournal collects everything that was fired since the replay point.
func (r *recovery) openJournal() error {
	s := r.s
	firings := 0
	visit := func(f commitlog.Frame) error {
		r.lastFiredMs = max(r.lastFiredMs, f.StoreMs)
		firings += firingsIn(&f)
		return nil
	}
	o := s.logOptions(journalLane, s.opts.JournalSegmentSize)
	o.Reserve = true
	o.Hooks = &lane{s: s, id: journalLane}
	var err error
	if s.journalLog, _, err = commitlog.Open(filepath.Join(s.dir, journalDir), r.st.laneSegments(journalLane), r.st.replay.journal, visit, o); err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	r.fired = newFiredSet(firings)
	if err := r.eachFired(func(x firing, _ int64) error { r.fired = append(r.fired, x.loc); return nil }); err != nil {
		return fmt.Errorf("open journal: %w", err)
	}
	r.fired.sort()
	s.firings.Store(int64(len(r.fired)))
	return nil
}

// eachFired visits what was fired since the replay point, with the wall clock of each.
// Damage was told of when the journal was opened.
func (r *recovery) eachFired(visit func(x firing, firedMs int64) error) error {
	log := r.s.journalLog
	err := log.Scan(r.st.replay.journal, log.Tail(), func(f commitlog.Frame) error {
		return eachFiring(&f, func(_ int, x firing) error { return visit(x, f.StoreMs) })
	})
	var damaged *commitlog.CorruptionError
	if errors.As(err, &damaged) {
		return nil
	}
	return err
}

// replayFirings puts the slots of the journal again.
func (r *recovery) replayFirings() error {
	var lost [laneCount]int64
	put := 0
	err := r.eachFired(func(x firing, firedMs int64) error {
		if int(x.loc.Lane()) >= laneCount && x.loc.Lane() != coldLane {
			return fmt.Errorf("%w: lane %d", ErrNotFound, x.loc.Lane())
		}
		e := consumequeue.Entry{Loc: uint64(x.loc), Size: x.size, Flags: consumequeue.FlagScheduled, Tag: x.tag, DeliverMs: firedMs}
		if end := x.loc.Offset() + int64(x.size); r.isLost(x.loc, end) {
			e = consumequeue.Entry{Flags: consumequeue.FlagVoid, DeliverMs: firedMs}
			lost[x.loc.Lane()] = max(lost[x.loc.Lane()], end)
		} else {
			r.s.keepFor(x.loc, x.size, firedMs)
		}
		r.restoreSlot(x.queue, x.slot, e)
		if put++; put%r.s.opts.replayFlush == 0 {
			return r.flushReplayed()
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("replay journal: %w", err)
	}
	return r.skipLost(lost)
}

// flushReplayed lets the queues hold no more. Without space for it they hold what they
// held before the crash.
func (r *recovery) flushReplayed() error {
	if err := flushQueues(r.s.dirtyQueues()); !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return nil
}

// skipLost keeps the lanes from giving the locations of lost messages again.
func (r *recovery) skipLost(lost [laneCount]int64) error {
	for id, end := range lost {
		if end <= r.s.lanes[id].log.Tail() {
			continue
		}
		r.s.log.Error("messages that had fired are lost: the machine stopped before asynchronous flush wrote them", "lane", id)
		if err := r.s.lanes[id].log.SkipTo(end); err != nil {
			return fmt.Errorf("replay journal: %w", err)
		}
		r.s.near.absorbed[id] = r.s.lanes[id].log.Tail()
	}
	return nil
}

// isLost tells whether a message that ends at end is not in its lane, or the log has
// found that its frame is damaged. One that retention has removed counts as lost too.
// Cold files are durable before anything refers to them, and damage in them shows when
// they are read.
func (r *recovery) isLost(loc commitlog.Loc, end int64) bool {
	lane := loc.Lane()
	return lane != coldLane && (!r.holds(lane, end) || slices.ContainsFunc(r.damaged[lane], func(d commitlog.Damage) bool {
		return d.From <= loc.Offset() && loc.Offset() < d.To
	}))
}

// holds tells whether a lane has a segment that reaches end.
func (r *recovery) holds(lane uint8, end int64) bool {
	l := r.s.lanes[lane]
	if r.ends[lane] == nil {
		r.ends[lane] = map[int64]int64{}
		for _, info := range l.log.Segments() {
			r.ends[lane][info.Base] = info.End
		}
	}
	return end <= r.ends[lane][l.segmentBase(end-1)]
}

// restoreSlot puts a slot again; slots that the queue's files have are kept.
func (r *recovery) restoreSlot(queue uint32, slot int64, e consumequeue.Entry) {
	q := r.s.registry.byID(queue)
	if q == nil {
		return // the topic was deleted
	}
	if err := q.cq.Restore(slot, e); err != nil {
		r.s.log.Error("queue slot of the log does not fit the queue and is left out", "topic", q.key.topic, "queue", q.key.num, "error", err)
	}
}

func (s *Store) sealQueues() {
	for _, q := range s.registry.all() {
		if holes := q.cq.Seal(); holes > 0 {
			s.log.Info("slots of messages that were never acknowledged are void", "topic", q.key.topic, "queue", q.key.num, "slots", holes)
		}
	}
}
