package tools

import (
	"cmp"
	"context"
	"math/bits"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// part is what one reading of a run serves: tiles in a row, and of all their entries
// there is room in memory. What no run stands for is a part with one tile.
type part struct {
	l        *laneCheck
	from, to int64
	run      *delayindex.RunInfo // nil: nothing of it should be pending, or it is not indexed yet
	indexed  bool                // lies before indexedUpTo

	// first says that it is the one that reports about its run, which several parts
	// share if its entries are many.
	first bool

	loaded chan struct{} // closed when the run was read
	known  bool          // all entries could be read
	tiles  []tile        // in order; they cover the part
	shift  uint          // of offsets in the part
	of     []int         // by offset>>shift: the tile in which the first such offset is

	mu        sync.Mutex
	unindexed unindexed // guarded by mu
}

// tile is a piece of a part that is checked on its own, beside others.
type tile struct {
	*part
	from, to int64

	sum  entrySum  // of what the run has and is not over
	over *logOrder // what the run has and is over; nil if there is none
}

const (
	// tileShift: a tile is about 2^tileShift bytes of a lane, or a part of maxTiles.
	tileShift = 27
	maxTiles  = 64
)

// check reads the run, and its tiles side by side. Only where something of the run is
// over must the run be read first.
func (p *part) check(ctx context.Context) error {
	p.loaded = make(chan struct{})
	var g errgroup.Group
	load := func() error { defer close(p.loaded); return p.load(ctx) }
	if !p.touched() {
		g.Go(load)
	} else {
		p.l.c.held <- struct{}{}
		defer func() { <-p.l.c.held }()
		if err := load(); err != nil {
			return err
		}
	}
	for i := range p.tiles {
		g.Go(func() error { return p.tiles[i].check(ctx) })
	}
	if err := g.Wait(); err != nil {
		return err
	}
	p.reportUnindexed()
	return nil
}

// touched tells whether entries of the run may be over.
func (p *part) touched() bool {
	return p.run != nil && (p.run.MinFireMs <= p.l.c.reached || len(p.l.c.m.Cuts) > 0)
}

// cutParts makes the tiles of all parts. Where runs are many a part is one tile; if not
// it is several, so that no processor waits for another in the end.
func cutParts(parts []*part) {
	runs := 0
	for _, p := range parts {
		if p.run != nil {
			runs++
		}
	}
	var wg sync.WaitGroup
	for _, p := range parts {
		p.shift = 63
		if p.run != nil && runs < 4*readers() && !isCold(p.l.lane) { // a cold file is read from its beginning
			p.shift = uint(max(cmp.Or(p.l.c.minTile, tileShift), bits.Len64(uint64(p.to-p.from)/maxTiles)))
		}
		wg.Go(p.cut)
	}
	wg.Wait()
}

func (p *part) cut() {
	at := p.from
	for i, to := range p.bounds() {
		n := len(p.tiles)
		if at > p.from+int64(i)<<p.shift {
			n-- // the frame before reaches into this one
		}
		p.of = append(p.of, n)
		if at < to {
			p.tiles = append(p.tiles, tile{part: p, from: at, to: to})
		}
		at = max(at, to)
	}
}

// bounds are where the tiles end; some may be empty.
func (p *part) bounds() []int64 {
	last := (p.to - 1 - p.from) >> p.shift
	out := make([]int64, last+1)
	for i := range out[:last] {
		out[i] = p.l.nextFrame(p.from+int64(i+1)<<p.shift, p.to)
	}
	out[last] = p.to
	return out
}

// tileAt is the tile with a lane offset of the part.
func (p *part) tileAt(off int64) *tile {
	i := p.of[(off-p.from)>>p.shift]
	for off >= p.tiles[i].to {
		i++
	}
	return &p.tiles[i]
}

// load reads the run and hands its entries to the tiles.
func (p *part) load(ctx context.Context) (err error) {
	if p.run == nil {
		return nil
	}
	touched := p.touched()
	r := runReader{l: p.l, run: p.run, report: p.first}
	p.known, err = r.read(ctx, func(es []delayindex.Entry) {
		for i := range es {
			off := commitlog.Loc(es[i].Loc).Offset()
			if off < p.from || off >= p.to {
				continue
			}
			if t := p.tileAt(off); touched && p.l.c.over(&es[i]) {
				t.keep(es[i : i+1])
			} else {
				t.sum.add(&es[i])
			}
		}
	})
	return err
}

// keep takes an entry into memory.
func (t *tile) keep(e []delayindex.Entry) {
	if t.over == nil {
		t.over = t.order(0)
	}
	t.over.add(e)
}

// order is memory for about n entries of the tile.
func (t *tile) order(n int64) *logOrder {
	o := t.l.c.order()
	o.reset(uint64(commitlog.MakeLoc(t.l.lane, t.from)), uint64(commitlog.MakeLoc(t.l.lane, t.to)), n)
	return o
}
