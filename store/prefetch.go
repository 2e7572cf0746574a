package store

import (
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// Bodies that were stored long ago are not in memory when they are due, and
// consumers ask for them at that moment, in the order of their times. So when a
// second is prepared its bodies are asked for in the order of the disk, neighbours
// together: scattered reads at the full depth of the device's queue instead of one
// after the other, and long sequential ones where delays are alike. It is advice and
// costs the dispatcher nothing: what does not get its turn is read on demand.

// DefaultPrefetchBytes is the default of Options.PrefetchBytes.
const DefaultPrefetchBytes = 64 << 20

const (
	// prefetchGap is how many bytes between two bodies are read with them rather than
	// left out.
	prefetchGap = 64 << 10
	// prefetchers is how many goroutines ask the kernel. It reads in the background
	// but may keep who asks waiting for room in its queue.
	prefetchers = 4
	// prefetchQueue is how many seconds wait at most. More is due than can be read then.
	prefetchQueue = 2
)

// bodies is where messages are read from; a commit log is one.
type bodies interface {
	// HotFrom is the offset from which on nothing needs to be prefetched.
	HotFrom() int64
	// Prefetch lets [from, to) be read into memory and does not wait for it; it
	// returns for how many bytes.
	Prefetch(from, to int64) int64
}

// bodiesOf returns where the bodies of a lane are, nil for an unknown lane.
func (s *Store) bodiesOf(lane uint8) bodies {
	if int(lane) < len(s.lanes) {
		return s.lanes[lane].log
	}
	return nil
}

// bodyRange is [from, to) of a lane.
type bodyRange struct {
	lane     uint8
	from, to int64
}

// prefetchSoon offers a prepared second, whose entries are not changed any more. It
// never waits. Any goroutine may call it.
func (s *Store) prefetchSoon(es []delayindex.Entry) {
	if s.opts.PrefetchBytes < 0 || s.backlogSince.Load() != 0 {
		return
	}
	select {
	case s.prefetch <- es:
	default:
	}
}

// prefetchBodies is the goroutine that does it.
func (s *Store) prefetchBodies() {
	defer s.wg.Done()
	for {
		select {
		case <-s.stop:
			return
		case es := <-s.prefetch:
			s.prefetchRanges(planPrefetch(es, s.opts.PrefetchBytes, s.hotFrom))
		}
	}
}

// hotFrom is HotFrom of a lane; everything of an unknown one is hot.
func (s *Store) hotFrom(lane uint8) int64 {
	if b := s.bodiesOf(lane); b != nil {
		return b.HotFrom()
	}
	return 0
}

// prefetchRanges asks for each range, in order, unless firing has fallen behind.
func (s *Store) prefetchRanges(ranges []bodyRange) {
	var g errgroup.Group
	g.SetLimit(prefetchers)
	for _, r := range ranges {
		if s.backlogSince.Load() != 0 || s.closed.Load() {
			break
		}
		g.Go(func() error {
			s.metrics.prefetched.Add(float64(s.bodiesOf(r.lane).Prefetch(r.from, r.to)))
			return nil
		})
	}
	_ = g.Wait() // nothing fails
}

// planPrefetch returns the ranges of the bodies of es that are not hot, in the order
// of the disk, neighbours joined: those of the first entries that are together not
// longer than limit.
func planPrefetch(es []delayindex.Entry, limit int64, hotFrom func(lane uint8) int64) []bodyRange {
	var locs []bodyRange
	bytes := int64(0)
	hot := map[uint8]int64{}
	for i := range es {
		loc := commitlog.Loc(es[i].Loc)
		from, known := hot[loc.Lane()]
		if !known {
			from = hotFrom(loc.Lane())
			hot[loc.Lane()] = from
		}
		if loc.Offset() >= from {
			continue
		}
		if bytes += int64(es[i].Size); bytes > limit {
			break
		}
		locs = append(locs, bodyRange{loc.Lane(), loc.Offset(), loc.Offset() + int64(es[i].Size)})
	}
	return joinRanges(locs)
}

// joinRanges sorts ranges and joins neighbours, in place.
func joinRanges(rs []bodyRange) []bodyRange {
	slices.SortFunc(rs, func(a, b bodyRange) int {
		if a.lane != b.lane {
			return int(a.lane) - int(b.lane)
		}
		return int(min(max(a.from-b.from, -1), 1))
	})
	joined := rs[:0]
	for _, r := range rs {
		if n := len(joined); n > 0 && joined[n-1].lane == r.lane && r.from-joined[n-1].to < prefetchGap {
			joined[n-1].to = max(joined[n-1].to, r.to)
			continue
		}
		joined = append(joined, r)
	}
	return joined
}
