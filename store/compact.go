package store

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

const (
	// defaultEvacuateAhead is how far from firing a message must be to be moved. A
	// location that stands in a journal or queue never moves (I3).
	defaultEvacuateAhead = 24 * time.Hour
	// defaultMergeAbove is the number of runs in a lane above which some are merged.
	defaultMergeAbove = 512
)

// evacuateTries is how often in a row a segment may fail before the others go on
// without it.
const evacuateTries = 3

// compact is the goroutine that evacuates old segments of the far lane and merges
// runs. Nothing depends on it but space and descriptors, so an error of it does
// not stop the store: what it could not do it tries again.
func (s *Store) compact() {
	defer s.wg.Done()
	for s.compactor.throttle.sleep(s.opts.keeperTick) == nil {
		if err := s.compactor.run(false); err != nil && !errors.Is(err, errStopping) && !s.closed.Load() {
			s.log.Error("compaction failed and is tried again; only space suffers", "error", err)
		}
	}
}

// compactor is the state of compaction.
type compactor struct {
	s        *Store
	mu       sync.Mutex // held during a round; guards what follows
	throttle throttle
	skip     map[int64]bool  // segments, by base, that are not evacuated before the next start
	tries    map[int64]int   // that a segment failed
	rests    map[uint8]*rest // after an error, by lane
	stays    bool            // nothing is evacuated before the next start
}

func newCompactor(s *Store) *compactor {
	return &compactor{s: s, throttle: throttle{s: s}, skip: map[int64]bool{}, tries: map[int64]int{}, rests: map[uint8]*rest{}}
}

// run does all that there is to do, at once or at the pace of work in the background.
func (c *compactor) run(atOnce bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.throttle.off = atOnce
	if c.s.failure.Load() != nil || c.s.diskFull.Load() {
		return nil
	}
	var errs []error
	for more := true; more; {
		more = false
		errs = append(errs, c.resting(farLane, func() (err error) {
			more, err = c.evacuateNext()
			return err
		}))
		if errors.Is(errors.Join(errs...), errStopping) || c.s.Err() != nil {
			break
		}
		if !more || c.s.crowded() {
			errs = append(errs, c.mergeAll())
		}
	}
	return errors.Join(errs...)
}

// evacuateNext moves the oldest segment that is old enough, and reports whether there
// may be another one: ties in fire time then stay in the order of arrival. One that
// cannot be moved is tried again, but does not hold up the others for long.
func (c *compactor) evacuateNext() (more bool, err error) {
	if c.s.opts.EvacuateAfter < 0 || c.stays {
		return false, nil
	}
	l := c.s.lanes[farLane]
	segments := l.log.Segments()
	created := createdBy(segments)
	for i, info := range segments {
		if !c.moves(&info) {
			continue
		}
		if !c.ripe(l, &info, created[i]) {
			break
		}
		ev, ok := c.begin(l, info)
		if !ok {
			c.skip[info.Base] = true
			c.s.log.Warn("segment is not evacuated: runs of the delay index reach beyond it", "base", info.Base)
			continue
		}
		moved, err := ev.run()
		if err != nil {
			return c.giveUp(info.Base, err), fmt.Errorf("evacuate segment %d: %w", info.Base, err)
		}
		delete(c.tries, info.Base)
		return moved, nil
	}
	return false, nil
}

// giveUp reports whether the segment at base, which failed, is left where it is. Its
// messages fire from there.
func (c *compactor) giveUp(base int64, err error) bool {
	var bad *delayindex.CorruptionError
	switch {
	case errors.Is(err, errStopping), errors.Is(err, syscall.ENOSPC), errors.Is(err, ErrDiskFull), c.s.Err() != nil:
		return false
	case errors.As(err, &bad): // only a start mends it
	default:
		if c.tries[base]++; c.tries[base] < evacuateTries {
			return false
		}
	}
	c.skip[base] = true
	return true
}

// moves reports whether anything in a segment is to be moved, now or later.
func (c *compactor) moves(info *commitlog.SegmentInfo) bool {
	if c.skip[info.Base] || c.overtaken(info.Base) || info.Sealed && info.MaxFireMs < c.s.cutMs(c.s.clock.NowMs()) {
		return false
	}
	cut := false
	c.s.catalog.view(func(st *catalogState) { _, cut = st.cuts[info.Base] })
	return !cut
}

// ripe reports whether a segment is complete, old enough, and in runs.
func (c *compactor) ripe(l *lane, info *commitlog.SegmentInfo, createdMs int64) bool {
	old := c.s.clock.NowMs()-createdMs >= c.s.opts.EvacuateAfter.Milliseconds()
	return info.Sealed && old && l.index.IndexedUpTo() >= info.End-commitlog.FrameHeaderSize
}

// createdBy returns when each segment existed at the latest: no later than those that
// came after it, whatever the clock said.
func createdBy(segments []commitlog.SegmentInfo) []int64 {
	out := make([]int64, len(segments))
	by := endOfTime
	for i := len(segments) - 1; i >= 0; i-- {
		by = min(by, segments[i].CreatedMs)
		out[i] = by
	}
	return out
}

// overtaken reports whether a segment was given up and a younger one has moved. It stays
// where it is as long as it lives: in the indexes of the cold lane, whose ranges follow
// each other, and whose runs are merged, there is no room for it any more.
func (c *compactor) overtaken(base int64) (yes bool) {
	c.s.catalog.view(func(st *catalogState) {
		for other := range st.cold {
			yes = yes || other > base
		}
		for _, ri := range st.runs[coldLane] {
			yes = yes || ri.End > base
		}
		yes = yes || st.keys[coldLane] != nil && st.keys[coldLane].upTo > base
	})
	return yes
}

// cutMs is the fire time from which on messages move at now.
func (s *Store) cutMs(now int64) int64 {
	s.near.mu.Lock()
	defer s.near.mu.Unlock()
	return max(now, s.near.horizonMs) + s.opts.evacuateAhead.Milliseconds()
}
