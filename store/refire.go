package store

import (
	"fmt"
	"slices"
	"time"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// The end of recovery: what came due while the store was down fires, in order, however
// much it is. Most of it is streamed from the index behind the mark; what is late, and
// not behind it, is found one by one.

// startDispatcher makes a dispatcher that first fires, in order, all that came
// due while the store was down, streamed from the index however much it is.
func (r *recovery) startDispatcher() (*dispatcher, error) {
	s := r.s
	r.mark.journal = r.st.replay.journal
	// No firing in the journal has a later fire time.
	d := newDispatcher(s, r.mark, max(r.lastFiredMs, r.mark.reached()))
	s.cancels.taken(max(r.mark.reached(), r.lastFiredMs))
	if err := r.lateInRuns(); err != nil {
		return nil, err
	}
	r.late = s.cancels.sift(r.late)
	slices.SortStableFunc(r.late, func(a, b delayindex.Entry) int { return delayindex.Compare(&a, &b) })
	d.due.addLate(r.late)
	if err := s.countPending(r); err != nil {
		return nil, err
	}

	// Beyond the horizon nothing can have fired before, even if the clock was set back.
	// What heavy topics have before from is read by the lag.
	from := r.mark.reached() + 1
	horizon := (max(from, s.clock.NowMs(), r.lastFiredMs)/1000 + 1) * 1000
	s.near.horizonMs, s.near.loadedMs, s.near.preparedMs = horizon, horizon, horizon
	d.due.preparedMs = horizon
	var it delayindex.Iterator = mergeSnapshots(s.snapshots(), from, horizon)
	if len(r.fired) > 0 {
		it = &unfiredIterator{Iterator: it, s: s, fired: r.fired}
	}
	d.due.addStream(it, from)
	if len(r.fired) > 0 || r.mark.split() {
		d.due.already = r.already
	}
	s.lastMark = r.mark
	s.busy.firedMs.Store(r.mark.firedMs)
	s.busy.lightMs.Store(r.mark.reached())
	s.log.Info("store recovered", "pending", s.Pending(), "refired", len(r.fired), "late", len(r.late), "took", time.Since(r.start))
	return d, nil
}

// lateInRuns finds the entries that the mark does not cover although firing has
// passed them, in runs that were flushed before a later mark was kept.
func (r *recovery) lateInRuns() error {
	for _, l := range r.s.lanes {
		covered := r.st.mark.absorbed[l.id]
		beyond := slices.ContainsFunc(l.index.Runs(), func(ri delayindex.RunInfo) bool {
			return ri.End > covered && ri.MinFireMs <= r.mark.reached()
		})
		if !beyond {
			continue
		}
		if err := r.lateIn(l, covered); err != nil {
			return fmt.Errorf("read delay index of lane %d: %w", l.id, err)
		}
	}
	return nil
}

func (r *recovery) lateIn(l *lane, covered int64) error {
	snap := l.index.Snapshot()
	defer snap.Release()
	it := snap.Iter(0, r.mark.reached()+1)
	defer it.Close()
	block := make([]delayindex.Entry, loadBlock)
	for {
		n, err := it.Next(block)
		if err != nil || n == 0 {
			return err
		}
		for _, e := range block[:n] {
			off := commitlog.Loc(e.Loc).Offset()
			if off >= covered && off < l.index.IndexedUpTo() && r.mark.passed(&e) && !r.already(&e) {
				r.late = append(r.late, e)
			}
		}
	}
}
