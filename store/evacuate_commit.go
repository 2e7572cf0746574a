package store

import (
	"errors"
	"fmt"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// commit makes the move true. It reports false, and nothing has changed, if
// something that moves has come within the horizon meanwhile, as after a step of
// the clock.
func (ev *evacuation) commit() (moved bool, err error) {
	s := ev.s
	s.checkpointMu.Lock() // runs and segments stay as they are
	defer s.checkpointMu.Unlock()
	s.cancels.writes.Lock() // and nothing is being cancelled
	defer s.cancels.writes.Unlock()
	ev.runs = ev.segmentRuns()
	if !s.holdHorizon(ev.cutMs) {
		return false, nil
	}
	defer s.freeHorizon()
	stay, err := ev.cutRuns()
	if err != nil {
		return false, err
	}
	late := ev.lateCancels()
	if err = s.writeMoved(late, cancelled); err == nil {
		err = ev.register()
	}
	if err != nil {
		return false, errors.Join(err, ev.revokeMoved(late), discardAll(stay))
	}
	s.written[BytesCold].Add(ev.info.FileSize)
	s.written[BytesIndex].Add(ev.run16.Bytes())
	if err := ev.swap(stay, late); err != nil {
		s.fail(fmt.Errorf("move messages of segment %d: %w", ev.seg.Base, err)) // the MANIFEST is right, memory is not
		return true, err
	}
	return true, nil
}

// holdHorizon keeps the horizon below ms until freeHorizon. False: it is not.
func (s *Store) holdHorizon(ms int64) bool {
	s.near.mu.Lock()
	defer s.near.mu.Unlock()
	if s.near.horizonMs > ms {
		return false
	}
	s.near.ceilingMs = ms
	return true
}

func (s *Store) freeHorizon() {
	s.near.mu.Lock()
	s.near.ceilingMs = noDeadline
	s.near.mu.Unlock()
	s.kickLoader()
}

// cutRuns opens the runs that stay in the far lane without what has moved.
func (ev *evacuation) cutRuns() ([]*delayindex.Replacement, error) {
	var stay []*delayindex.Replacement
	for _, ri := range ev.runs {
		if !ev.stays(&ri) {
			continue
		}
		w, err := ev.l.index.Cut(ri, ev.cutMs)
		if err != nil {
			return nil, errors.Join(err, discardAll(stay))
		}
		stay = append(stay, w)
	}
	return stay, nil
}

func discardAll(ws []*delayindex.Replacement) error {
	var errs []error
	for _, w := range ws {
		errs = append(errs, w.Discard())
	}
	return errors.Join(errs...)
}

// stays reports whether a run has entries that do not move.
func (ev *evacuation) stays(ri *delayindex.RunInfo) bool { return !ev.whole && ri.MinFireMs < ev.cutMs }

// register makes the move durable. Who asks for a message by its key finds it all the
// time: in its old place until swap has shown the new one, though the cut that
// hides the old one is known a moment before.
func (ev *evacuation) register() error {
	ev.s.cold.moving.Store(ev.seg.Base) // without a cut it means nothing
	return ev.s.catalog.commit(ev.edit())
}

// edit is the whole move.
func (ev *evacuation) edit() edit {
	var e edit
	if ev.info.Records > 0 {
		e.cold(ev.info)
		e.run(coldLane, ev.run16.Info)
		ev.keys.register(&e)
	}
	for _, ri := range ev.runs {
		if !ev.stays(&ri) {
			e.runGone(ev.l.id, ri)
		}
	}
	if ev.whole {
		e.segmentGone(ev.l.id, ev.seg.Base)
		return e
	}
	seg := ev.seg
	seg.MaxFireMs = min(seg.MaxFireMs, ev.cutMs-1)
	e.segment(ev.l.id, seg)
	e.cut(ev.seg.Base, segmentCut{end: ev.end, ms: ev.cutMs})
	return e
}

// swap shows everybody what the MANIFEST says by now. The horizon is held, so no
// entry that moves is anywhere but in the indexes.
func (ev *evacuation) swap(stay []*delayindex.Replacement, late []movedCancel) error {
	s := ev.s
	if ev.info.Records > 0 {
		s.cold.files.Add(ev.files)
		if err := s.showKeys(ev.keys); err != nil {
			return err
		}
	}
	s.cold.moving.Store(-1)
	doneFar, doneCold, err := ev.swapIndexes(stay, late)
	if err != nil {
		return err
	}
	err = errors.Join(doneFar(), doneCold())
	if ev.whole {
		return errors.Join(err, ev.removeOld())
	}
	ev.l.log.LimitFire(ev.seg.Base, ev.cutMs-1)
	return err
}

// removeOld removes the segment whose messages have moved. When Close has ended the log
// already the next start does that: the MANIFEST does not list it any more.
func (ev *evacuation) removeOld() error {
	if err := ev.l.log.Remove(ev.seg.Base); !errors.Is(err, commitlog.ErrClosed) {
		return err
	}
	return nil
}

// swapIndexes changes both lanes in one step for those who take snapshots.
func (ev *evacuation) swapIndexes(stay []*delayindex.Replacement, late []movedCancel) (doneFar, doneCold func() error, err error) {
	s := ev.s
	s.near.mu.Lock()
	defer s.near.mu.Unlock()
	if doneFar, err = ev.l.index.Replace(ev.runs, stay); err != nil {
		return nil, nil, err
	}
	doneCold, err = s.cold.index.Replace(nil, []*delayindex.Replacement{ev.run16})
	s.cancels.relocate(late, ev.ended)
	s.pending.Add(-ev.orphans)
	return doneFar, doneCold, err
}
