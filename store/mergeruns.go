package store

import (
	"errors"
	"fmt"
	"iter"
	"slices"

	"github.com/duelog/duelog/delayindex"
)

// mergeWidth is how many neighbouring runs become one.
const mergeWidth = 16

// mergeAll brings every lane below its number of runs, for each run costs a
// descriptor and a place in every merge. The far lane is left out: its runs go
// with their segments.
func (c *compactor) mergeAll() error {
	var errs []error
	for id, index := range c.s.mergeable() {
		errs = append(errs, c.resting(id, func() error { return c.mergeLane(id, index) }))
	}
	return errors.Join(errs...)
}

// mergeable yields the lanes of which runs are merged, with their delay indexes.
func (s *Store) mergeable() iter.Seq2[uint8, *delayindex.Index] {
	return func(yield func(uint8, *delayindex.Index) bool) {
		for _, l := range s.lanes {
			if l.id != farLane && !yield(l.id, l.index) {
				return
			}
		}
		yield(coldLane, s.cold.index)
	}
}

// crowded reports whether a lane has so many runs that merging waits for nothing but
// space any more: a backlog may last, and descriptors end.
func (s *Store) crowded() bool {
	for _, index := range s.mergeable() {
		if len(index.Runs()) > 2*s.opts.mergeAbove {
			return true
		}
	}
	return false
}

// mergeLane merges neighbours, as far as there are too many. In the cold lane, too, any
// neighbours will do: nothing moves to where a run might be, see overtaken.
func (c *compactor) mergeLane(id uint8, index *delayindex.Index) error {
	for {
		runs := index.Runs()
		if len(runs) <= c.s.opts.mergeAbove || len(runs) < 2 {
			return nil
		}
		if err := c.mergeOnce(id, index, smallestNeighbours(runs, mergeWidth)); err != nil {
			return fmt.Errorf("merge runs of lane %d: %w", id, err)
		}
	}
}

// smallestNeighbours picks the width runs in a row that have the fewest entries.
func smallestNeighbours(runs []delayindex.RunInfo, width int) []delayindex.RunInfo {
	width = min(width, len(runs))
	var sum, best int64
	at := 0
	for i := range runs {
		sum += runs[i].Count
		if i >= width {
			sum -= runs[i-width].Count
		}
		if first := i - width + 1; first == 0 || first > 0 && sum < best {
			at, best = first, sum
		}
	}
	return runs[at : at+width]
}

// mergeOnce replaces olds by one run without what is done. Only the durable mark
// counts: recovery must not miss an entry that the journal has not made certain.
func (c *compactor) mergeOnce(id uint8, index *delayindex.Index, olds []delayindex.RunInfo) error {
	var m mark
	c.s.catalog.view(func(st *catalogState) { m = st.mark })
	start, end, count := olds[0].Start, olds[len(olds)-1].End, int64(0)
	for _, ri := range olds {
		count += ri.Count
	}
	snap := index.Snapshot()
	defer snap.Release()
	within := func(ri *delayindex.RunInfo) bool { return ri.Start >= start && ri.End <= end }
	it := &pendingIterator{Iterator: snap.IterRuns(0, endOfTime, within), throttle: &c.throttle, mark: m}
	w, err := index.Rewrite(it, start, end, count)
	if err != nil {
		return err
	}
	return c.replaceRuns(id, index, olds, w)
}

// replaceRuns registers a merge and shows it. Runs that a checkpoint dropped
// meanwhile had nothing left to fire.
func (c *compactor) replaceRuns(id uint8, index *delayindex.Index, olds []delayindex.RunInfo, w *delayindex.Replacement) error {
	c.s.checkpointMu.Lock()
	defer c.s.checkpointMu.Unlock()
	installed := index.Runs()
	olds = slices.DeleteFunc(slices.Clone(olds), func(ri delayindex.RunInfo) bool { return !slices.Contains(installed, ri) })
	var e edit
	for _, ri := range olds {
		e.runGone(id, ri)
	}
	if w.Info.Count > 0 {
		e.run(id, w.Info)
	}
	if err := c.s.catalog.commit(e); err != nil {
		return errors.Join(err, w.Discard())
	}
	done, err := index.Replace(olds, []*delayindex.Replacement{w})
	if err != nil {
		c.s.fail(fmt.Errorf("merge runs of lane %d: %w", id, err)) // the MANIFEST is right, memory is not
		return errors.Join(err, w.Discard())
	}
	c.s.written[BytesIndex].Add(w.Bytes())
	c.s.metrics.mergedRuns.Add(float64(len(olds)))
	return done()
}

// pendingIterator leaves out what the mark covers, at the pace of work in the background.
type pendingIterator struct {
	delayindex.Iterator
	throttle *throttle
	mark     mark
}

// Next implements delayindex.Iterator.
func (p *pendingIterator) Next(dst []delayindex.Entry) (int, error) {
	for {
		n, err := p.Iterator.Next(dst)
		if err != nil || n == 0 {
			return n, err
		}
		if err := p.throttle.spend(int64(n) * delayindex.EntrySize); err != nil {
			return 0, err
		}
		kept := slices.DeleteFunc(dst[:n], func(e delayindex.Entry) bool { return p.mark.done(&e) })
		if len(kept) > 0 {
			return len(kept), nil
		}
	}
}
