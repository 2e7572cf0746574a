package store

import (
	"errors"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/consumequeue"
	"github.com/duelog/duelog/delayindex"
)

// flushParallel is how many queues are flushed at once.
const flushParallel = 16

// checkpoint moves the point where recovery starts. The order is the argument:
//
//  1. note the mark, the replay point and how far each queue's slots are given;
//  2. wait until these slots are put: all of them belong to writes under way;
//  3. flush the queues, so every slot before the replay point is in a synced file;
//  4. with commitlog.Async sync the logs, since the flushed slots refer to them;
//  5. one edit: segments, queue extents, mark, replay point;
//  6. only now drop what recovery will not read any more.
func (s *Store) checkpoint() error {
	s.checkpointMu.Lock()
	defer s.checkpointMu.Unlock()
	start := time.Now()

	firings := s.firings.Load()
	m := s.mark()
	rp := replayPoint{journal: m.journal, lane0: s.absorbedUpTo(0)}
	dirty := s.dirtyQueues()
	if err := s.awaitSlots(dirty); err != nil {
		return err
	}
	if err := flushQueues(dirty); err != nil {
		return err
	}
	if err := s.syncAsync(); err != nil {
		return err
	}
	var e edit
	for i := range dirty {
		d := &dirty[i]
		if !d.q.deleted.Load() {
			d.min = d.q.cq.Min()
			e.queueExtent(d.q.id, d.min, d.upTo)
		}
	}
	s.addSegments(&e)
	if err := s.addDeaths(&e); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	e.mark(m)
	e.replay(rp)
	if err := s.catalog.commit(e); err != nil {
		return fmt.Errorf("checkpoint: %w", err)
	}
	s.deathsKept()
	for i := range dirty {
		dirty[i].committed()
	}
	s.checkpointed.Store(firings)
	s.metrics.checkpointSeconds.Observe(time.Since(start).Seconds())
	return s.dropBehind(m, rp)
}

// absorbedUpTo returns the lane offset up to which slots are put and entries
// are in the index.
func (s *Store) absorbedUpTo(lane uint8) int64 {
	s.near.mu.Lock()
	defer s.near.mu.Unlock()
	return s.near.absorbed[lane]
}

type dirtyQueue struct {
	q    *Queue
	next int64 // slots given out when the replay point was noted
	min  int64 // the queue's minimum that the checkpoint names
	upTo int64 // slots before it are in the queue's files
}

// dirtyQueues lists the queues with slots that their files do not have. It runs
// after the replay point was noted: what was given out since does no harm.
func (s *Store) dirtyQueues() []dirtyQueue {
	var out []dirtyQueue
	for _, q := range s.registry.all() {
		if next := q.cq.Next(); next > q.flushedTo.Load() || q.extentDirty.Load() {
			out = append(out, dirtyQueue{q: q, next: next})
		}
	}
	return out
}

// awaitSlots waits until all slots that were given out are put. They belong to
// batches being written; only a failed store leaves one for good.
func (s *Store) awaitSlots(dirty []dirtyQueue) error {
	for _, d := range dirty {
		w := make(slotWatcher)
		if !d.q.Watch(d.next-1, w) {
			continue
		}
		select {
		case <-w:
		case <-s.failing:
			d.q.Unwatch(w)
			return fmt.Errorf("checkpoint: %w", s.Err())
		}
	}
	return nil
}

// slotWatcher is told when the slots are there, or the queue is deleted.
type slotWatcher chan struct{}

// Wake implements Watcher.
func (w slotWatcher) Wake() { close(w) }

// flushQueues brings the slots of the queues into their files, several at a
// time: most of it is waiting for the disk.
func flushQueues(dirty []dirtyQueue) error {
	var g errgroup.Group
	g.SetLimit(flushParallel)
	for i := range dirty {
		g.Go(dirty[i].flush)
	}
	return g.Wait()
}

func (d *dirtyQueue) flush() (err error) {
	if d.q.deleted.Load() {
		return nil
	}
	d.upTo, err = d.q.cq.Flush()
	switch {
	case errors.Is(err, consumequeue.ErrClosed) && d.q.deleted.Load():
		return nil
	case err != nil:
		return fmt.Errorf("flush queue %d of topic %s: %w", d.q.key.num, d.q.key.topic, err)
	}
	return nil
}

// committed notes what the catalog says of the queue's files now. Only now: a checkpoint
// that failed in between must leave the queue to the next one.
func (d *dirtyQueue) committed() {
	if d.q.deleted.Load() {
		return
	}
	d.q.extentDirty.Store(false)
	before := d.q.flushedTo.Swap(d.upTo)
	d.q.s.written[BytesQueue].Add((d.upTo - before) * consumequeue.EntrySize)
	d.q.cq.FreeBefore(d.min)
}

// addSegments keeps the figures of segments that changed, so that recovery need
// not read them from their start.
func (s *Store) addSegments(e *edit) {
	add := func(lane uint8, log *commitlog.Log) {
		infos := log.Segments()
		s.catalog.view(func(st *catalogState) {
			for _, info := range infos {
				if known, ok := st.segments[lane][info.Base]; !ok || known != info {
					e.segment(lane, info)
				}
			}
		})
	}
	for _, l := range s.lanes {
		add(l.id, l.log)
	}
	add(journalLane, s.journalLog)
	add(cancelLane, s.cancelLog)
	s.addCold(e)
}

// dropBehind unlinks the runs whose entries are all done and recycles the
// journal segments before the replay point.
func (s *Store) dropBehind(m mark, rp replayPoint) error {
	for _, l := range s.lanes {
		done := func(r *delayindex.RunInfo) bool { return r.LastFireMs() <= m.firedMs && r.End <= m.absorbed[l.id] }
		if err := s.dropRuns(l.id, l.index, done); err != nil {
			return err
		}
	}
	coldDone := func(r *delayindex.RunInfo) bool { return r.LastFireMs() <= m.firedMs }
	if err := s.dropRuns(coldLane, s.cold.index, coldDone); err != nil {
		return err
	}
	for _, info := range s.journalLog.Segments() {
		if !info.Sealed || info.End > rp.journal {
			continue
		}
		if err := s.removeSegment(journalLane, s.journalLog, info.Base); err != nil {
			return fmt.Errorf("drop journal segment: %w", err)
		}
	}
	return nil
}

// dropRuns unlinks the runs of a lane of which every entry is done.
func (s *Store) dropRuns(id uint8, index *delayindex.Index, done func(*delayindex.RunInfo) bool) error {
	var e edit
	var gone []delayindex.RunInfo
	for _, r := range index.Runs() {
		if done(&r) {
			e.runGone(id, r)
			gone = append(gone, r)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if err := s.catalog.commit(e); err != nil {
		return fmt.Errorf("drop fired runs of lane %d: %w", id, err)
	}
	for _, r := range gone {
		if err := index.Drop(r); err != nil {
			return fmt.Errorf("drop fired runs of lane %d: %w", id, err)
		}
	}
	return nil
}
