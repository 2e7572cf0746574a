package store

import (
	"slices"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// Bodies that were stored long ago are not in memory when they are due, and
// consumers ask for them at that moment, in the order of their times. So when a
// second is prepared its bodies are asked for in the order of the disk, neighbours
// together: scattered reads at the full depth of the device's queue instead of one
// after the other, and long sequential ones where delays are alike. It is advice and
// costs the dispatcher nothing: what does not get its turn is read on demand. The
// entries of a streamed second come as the stream is read ahead, a block at a time.

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
	// prefetchChunk is how many entries are put in the order of the disk at once.
	prefetchChunk = 64 << 10
	// prefetchRange is how long a range becomes by joining.
	prefetchRange = 1 << 20
)

// bodies is where messages are read from; a commit log is one, the cold files another.
type bodies interface {
	// HotFrom is the offset from which on nothing needs to be prefetched.
	HotFrom() int64
	// Prefetch lets [from, to) be read into memory and does not wait for it; it
	// returns for how many bytes.
	Prefetch(from, to int64) int64
}

// bodiesOf returns where the bodies of a lane are, nil for an unknown lane.
func (s *Store) bodiesOf(lane uint8) bodies {
	switch {
	case int(lane) < len(s.lanes):
		return s.lanes[lane].log
	case lane == coldLane:
		return s.cold.files
	}
	return nil
}

// bodyRange is [from, to) of a lane.
type bodyRange struct {
	lane     uint8
	from, to int64
}

// prefetcher asks for bodies, for no more than Options.PrefetchBytes of those that are
// due in one second.
type prefetcher struct {
	s       *Store
	seconds chan []delayindex.Entry // prepared seconds
	streams chan []delayindex.Entry // of streamed seconds, what may not be in memory
	sec     int64                   // the latest that was asked for
	asked   atomic.Int64            // bytes, since it was asked for first
}

func newPrefetcher(s *Store) *prefetcher {
	return &prefetcher{
		s:       s,
		seconds: make(chan []delayindex.Entry, prefetchQueue), streams: make(chan []delayindex.Entry, pumpBlocks),
	}
}

// soon offers a prepared second, whose entries are not changed any more. It never
// waits. Any goroutine may call it.
func (p *prefetcher) soon(es []delayindex.Entry) { p.offer(p.seconds, es) }

func (p *prefetcher) offer(to chan []delayindex.Entry, es []delayindex.Entry) {
	if len(es) == 0 || !p.on() {
		return
	}
	select {
	case to <- es:
	default:
	}
}

// on reports whether there is time for it: not while firing is behind.
func (p *prefetcher) on() bool { return p.s.opts.PrefetchBytes >= 0 && p.s.backlogSince.Load() == 0 }

// prefetchAhead offers what the pump of a streamed second reads.
type prefetchAhead struct {
	delayindex.Iterator
	p *prefetcher
}

// Next implements delayindex.Iterator.
func (it *prefetchAhead) Next(dst []delayindex.Entry) (int, error) {
	n, err := it.Iterator.Next(dst)
	if it.p.on() {
		it.p.offer(it.p.streams, notHot(dst[:n], it.p.s.hotFrom))
	}
	return n, err
}

// notHot copies the entries whose bodies may not be in memory.
func notHot(es []delayindex.Entry, hotFrom func(lane uint8) int64) (cold []delayindex.Entry) {
	hot := map[uint8]int64{}
	for i := range es {
		if loc := commitlog.Loc(es[i].Loc); loc.Offset() < hotOf(hot, loc.Lane(), hotFrom) {
			cold = append(cold, es[i])
		}
	}
	return cold
}

// hotOf is hotFrom of a lane, asked for once.
func hotOf(known map[uint8]int64, lane uint8, hotFrom func(lane uint8) int64) int64 {
	from, ok := known[lane]
	if !ok {
		from = hotFrom(lane)
		known[lane] = from
	}
	return from
}

// run is the goroutine that does it.
func (p *prefetcher) run() {
	defer p.s.wg.Done()
	for {
		select {
		case <-p.s.stop:
			return
		case es := <-p.seconds:
			p.ask(es)
		case es := <-p.streams:
			p.ask(es)
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

// ask asks for the bodies of entries of one second, in fire order. What comes of an
// earlier second than the last, as from two streams at once, counts as of that.
func (p *prefetcher) ask(es []delayindex.Entry) {
	if sec := es[0].FireMs() / 1000; sec > p.sec {
		p.sec = sec
		p.asked.Store(0)
	}
	for chunk := range slices.Chunk(es, prefetchChunk) {
		if left := p.left(); left > 0 {
			p.askFor(planPrefetch(chunk, left, p.s.hotFrom))
		}
	}
}

func (p *prefetcher) left() int64 { return p.s.opts.PrefetchBytes - p.asked.Load() }

// askFor asks for each range, in order, until there are too many bytes or firing has
// fallen behind.
func (p *prefetcher) askFor(ranges []bodyRange) {
	var g errgroup.Group
	g.SetLimit(prefetchers)
	for _, r := range ranges {
		if p.left() <= 0 || !p.on() || p.s.closed.Load() {
			break
		}
		g.Go(func() error {
			n := p.s.bodiesOf(r.lane).Prefetch(r.from, r.to)
			p.asked.Add(n)
			p.s.metrics.prefetched.Add(float64(n))
			return nil
		})
	}
	_ = g.Wait() // nothing fails
}

// planPrefetch returns the ranges of the bodies of es that are not hot, in the order
// of the disk, neighbours joined: those of the first entries that are together not
// longer than limit. What it takes to read them may be more, or, compressed, less.
func planPrefetch(es []delayindex.Entry, limit int64, hotFrom func(lane uint8) int64) []bodyRange {
	var locs []bodyRange
	bytes := int64(0)
	hot := map[uint8]int64{}
	for i := range es {
		loc := commitlog.Loc(es[i].Loc)
		if loc.Offset() >= hotOf(hot, loc.Lane(), hotFrom) {
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
		if n := len(joined); n > 0 && joined[n-1].reaches(r) {
			joined[n-1].to = max(joined[n-1].to, r.to)
			continue
		}
		joined = append(joined, r)
	}
	return joined
}

// reaches reports whether r, which does not begin before b, is to be read with it.
func (b *bodyRange) reaches(r bodyRange) bool {
	return b.lane == r.lane && r.from-b.to < prefetchGap && r.to-b.from <= prefetchRange
}
