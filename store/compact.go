package store

import (
	"errors"
	"fmt"
	"sync"
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

// compactRetry is how long compaction rests after an error.
const compactRetry = time.Minute

// compact is the goroutine that evacuates old segments of the far lane and merges
// runs. Nothing depends on it but space and descriptors, so an error of it does
// not stop the store: what it could not do it tries again.
func (s *Store) compact() {
	defer s.wg.Done()
	wait := s.opts.keeperTick
	for s.compactor.throttle.sleep(wait) == nil {
		wait = s.opts.keeperTick
		if err := s.compactor.run(false); err != nil && !errors.Is(err, errStopping) && !s.closed.Load() {
			s.log.Error("compaction failed and is tried again; only space suffers", "error", err)
			wait = max(wait, compactRetry)
		}
	}
}

// compactor is the state of compaction.
type compactor struct {
	s        *Store
	mu       sync.Mutex // held during a round; guards what follows
	throttle throttle
	skip     map[int64]bool // segments, by base, that are not evacuated before the next start
}

func newCompactor(s *Store) *compactor {
	return &compactor{s: s, throttle: throttle{s: s}, skip: map[int64]bool{}}
}

// run does all that there is to do, at once or at the pace of work in the background.
func (c *compactor) run(atOnce bool) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.throttle.off = atOnce
	if c.s.failure.Load() != nil || c.s.diskFull.Load() {
		return nil
	}
	err := c.evacuateAll()
	if errors.Is(err, errStopping) || c.s.Err() != nil {
		return err
	}
	return errors.Join(err, c.mergeAll())
}

// evacuateAll moves the segments that are old enough, oldest first: ties in fire
// time then stay in the order of arrival. One that cannot be moved holds up no other.
func (c *compactor) evacuateAll() error {
	l := c.s.lanes[farLane]
	var errs []error
	for _, info := range l.log.Segments() {
		if !c.ripe(l, &info) {
			continue
		}
		ev, ok := c.begin(l, info)
		if !ok {
			c.skip[info.Base] = true
			c.s.log.Warn("segment is not evacuated: runs of the delay index reach beyond it", "base", info.Base)
			continue
		}
		err := ev.run()
		var bad *delayindex.CorruptionError
		if errors.As(err, &bad) {
			c.skip[info.Base] = true // only a start mends it
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("evacuate segment %d: %w", info.Base, err))
		}
		if errors.Is(err, errStopping) || c.s.Err() != nil {
			break
		}
	}
	return errors.Join(errs...)
}

// ripe reports whether a segment is to be evacuated now.
func (c *compactor) ripe(l *lane, info *commitlog.SegmentInfo) bool {
	now := c.s.clock.NowMs()
	after := c.s.opts.EvacuateAfter
	if after < 0 || !info.Sealed || c.skip[info.Base] || now-info.CreatedMs < after.Milliseconds() {
		return false
	}
	if info.MaxFireMs < c.s.cutMs(now) || l.index.IndexedUpTo() < info.End-commitlog.FrameHeaderSize {
		return false // nothing to move, or not yet in runs
	}
	cut := false
	c.s.catalog.view(func(st *catalogState) { _, cut = st.cuts[info.Base] })
	return !cut
}

// cutMs is the fire time from which on messages move at now.
func (s *Store) cutMs(now int64) int64 {
	s.near.mu.Lock()
	defer s.near.mu.Unlock()
	return max(now, s.near.horizonMs) + s.opts.evacuateAhead.Milliseconds()
}
