package store

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"time"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/consumequeue"
	"github.com/duelog/duelog/delayindex"
)

// recovery is the state of one Open. See the package comment for why it is right.
type recovery struct {
	s     *Store
	st    *catalogState
	mark  mark
	fired map[commitlog.Loc]struct{} // of the journal from the replay point on
	put   []putAgain                 // the slots that these firings fill
	late  []delayindex.Entry         // not done although not after the mark
	// damaged are the ranges of each lane that cannot be read any more.
	damaged [laneCount][]commitlog.Damage
	ends    [laneCount]map[int64]int64 // of the segments, by base; see holds
	batch   []delayindex.Entry
	keys    keyBatch
	// lastFiredMs is the latest wall clock of a journal batch.
	lastFiredMs int64
	start       time.Time
}

// recover brings the store to where it was and returns its dispatcher, ready
// to run.
func (s *Store) recover() (*dispatcher, error) {
	r := &recovery{s: s, fired: map[commitlog.Loc]struct{}{}, start: time.Now()}
	var err error
	if s.catalog, err = openCatalog(s.dir, s.log); err != nil {
		return nil, err
	}
	s.catalog.limit, s.catalog.broken = s.opts.manifestLimit, s.fail
	r.st = s.catalog.state
	r.mark = r.st.mark
	if r.mark.firedMs == 0 {
		r.mark.firedMs = s.clock.NowMs() // a new store has fired all of the past
	}
	if s.queues, err = consumequeue.Open(filepath.Join(s.dir, queueDir), &consumequeue.Options{
		Logger: s.log,
		NeedFlush: func(*consumequeue.Queue) {
			s.queuesFull.Store(true)
			s.kickKeeper()
		},
	}); err != nil {
		return nil, err
	}
	if err := s.registry.restore(r.st); err != nil {
		return nil, err
	}
	if err := r.openJournal(); err != nil {
		return nil, fmt.Errorf("open journal: %w", err)
	}
	if err := r.openCancels(); err != nil {
		return nil, fmt.Errorf("open cancel log: %w", err)
	}
	for i := range s.lanes {
		if err := r.openLane(uint8(i)); err != nil {
			return nil, fmt.Errorf("open lane %d: %w", i, err)
		}
	}
	if err := r.openCold(); err != nil {
		return nil, fmt.Errorf("open lane %d: %w", coldLane, err)
	}
	if err := r.settleCancels(); err != nil {
		return nil, err
	}
	if err := r.replayFirings(); err != nil {
		return nil, err
	}
	if err := r.registerSegments(); err != nil {
		return nil, err
	}
	s.sealQueues()
	return r.startDispatcher()
}

// openLane scans what the checkpoint does not cover and rebuilds the memtable.
func (r *recovery) openLane(id uint8) error {
	s := r.s
	size := s.opts.DelaySegmentSize
	if id == 0 {
		size = s.opts.SegmentSize
	}
	l := &lane{s: s, id: id, segmentSize: size, deaths: newDeaths(size)}
	s.lanes[id] = l
	indexed, err := r.openIndex(l)
	if err != nil {
		return err
	}
	from := indexed
	if id == 0 {
		from = min(from, r.st.replay.lane0)
	}
	if from, err = r.openKeys(l, from); err != nil {
		return err
	}
	visit := func(f commitlog.Frame) error {
		r.visitFrame(l, &f, indexed)
		r.visitKeys(l, &f)
		return nil
	}
	o := s.logOptions(id, size)
	o.Hooks = l
	o.GivenBack = r.st.laneGiven(id)
	o.RollAfter = laneClasses[id].rollAfter
	dir := filepath.Join(s.dir, logDir, strconv.Itoa(int(id)))
	if id == farLane {
		if err := r.dropMoved(dir); err != nil {
			return err
		}
	}
	var stats commitlog.RecoverStats
	l.log, stats, err = commitlog.Open(dir, r.st.laneSegments(id), from, visit, o)
	if err != nil {
		return err
	}
	r.damaged[id] = stats.Damaged
	if id == farLane {
		if err := r.skipMoved(l); err != nil {
			return err
		}
	}
	for _, info := range l.log.Segments() {
		if !info.Sealed {
			l.deaths.found(&info)
		}
	}
	s.free(l, o.GivenBack) // a crash may have come between the registration and this
	s.near.absorbed[id] = l.log.Tail()
	l.bornMs = s.clock.NowMs() // what recovery put into the memtable ages from now on
	return nil
}

// registerSegments makes the catalog agree with the segments that are there:
// those that were adopted come in, those that are missing go.
func (r *recovery) registerSegments() error {
	var e edit
	agree := func(lane uint8, log *commitlog.Log) {
		gone := maps.Clone(r.st.segments[lane])
		for _, info := range log.Segments() {
			if known, ok := gone[info.Base]; !ok || known != info {
				e.segment(lane, info)
			}
			delete(gone, info.Base)
		}
		for base := range gone {
			e.segmentGone(lane, base)
		}
	}
	for _, l := range r.s.lanes {
		agree(l.id, l.log)
	}
	agree(journalLane, r.s.journalLog)
	agree(cancelLane, r.s.cancelLog)
	if len(e) == 0 {
		return nil
	}
	if err := r.s.catalog.commit(e); !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return nil // the next checkpoint does it, when there is space
}

// openIndex opens the runs of a lane and returns up to where they reach. A
// damaged run is given up, with those behind it: the log has what they had, and
// the scan that follows brings it back.
func (r *recovery) openIndex(l *lane) (indexed int64, err error) {
	runs, indexed := r.st.runs[l.id], r.st.indexed[l.id]
	dir := filepath.Join(r.s.dir, indexDir, strconv.Itoa(int(l.id)))
	o := &delayindex.Options{Lane: l.id, MemtableEntries: r.s.opts.MemtableEntries, Logger: r.s.log}
	for {
		l.index, err = delayindex.Open(dir, runs, indexed, o)
		var bad *delayindex.CorruptionError
		if !errors.As(err, &bad) {
			return indexed, err
		}
		r.s.log.Error("delay index run is damaged; it is rebuilt from the commit log", "error", err)
		if runs, err = r.s.giveUpRuns(l, runs, bad.Run.Start); err != nil {
			return 0, err
		}
		indexed = bad.Run.Start
	}
}

// giveUpRuns unregisters the runs that begin at start or later and returns the others.
func (s *Store) giveUpRuns(l *lane, runs []delayindex.RunInfo, start int64) ([]delayindex.RunInfo, error) {
	var e edit
	var kept []delayindex.RunInfo
	for _, ri := range runs {
		if ri.Start < start {
			kept = append(kept, ri)
			continue
		}
		e.runGone(l.id, ri)
	}
	e.indexed(l.id, start)
	return kept, s.catalog.commit(e)
}

func (s *Store) logOptions(id uint8, size int64) *commitlog.Options {
	return &commitlog.Options{
		Lane: id, SegmentSize: size, Flush: s.opts.Flush, FlushEvery: s.opts.FlushEvery,
		MaxWait: s.opts.MaxSendWait,
		Writer:  s.opts.Writer, Pool: s.pool, Now: s.clock.NowMs, Logger: s.log, IO: meteredIO{m: s.metrics},
	}
}

// visitFrame puts the slots of due messages and indexes scheduled ones.
func (r *recovery) visitFrame(l *lane, f *commitlog.Frame, indexed int64) {
	r.batch = r.batch[:0]
	for it := range f.Items() {
		if it.Flags&commitlog.FlagScheduled == 0 {
			r.restoreSlot(it.Queue, it.When, consumequeue.Entry{
				Loc: uint64(it.Loc), Size: uint32(it.Size), Tag: it.Tag, DeliverMs: f.StoreMs,
			})
			continue
		}
		if it.Loc.Offset() >= indexed {
			r.index(indexEntry(&it))
		}
	}
	if f.End > indexed {
		l.enterSegment(f.End)
		l.index.Add(r.batch, f.End)
	}
}

// index adds an entry that the runs do not have. One that fired is kept out:
// the journal says so until the replay point has passed it.
func (r *recovery) index(e delayindex.Entry) {
	if r.already(&e) || r.moved(&e) {
		return
	}
	r.batch = append(r.batch, e)
	if r.mark.passed(&e) {
		r.late = append(r.late, e)
	}
}

// already reports whether e fired before the store was opened.
func (r *recovery) already(e *delayindex.Entry) bool {
	_, fired := r.fired[commitlog.Loc(e.Loc)]
	return fired || r.mark.done(e)
}

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
	s.log.Info("store recovered", "pending", s.Pending(), "late", len(r.late), "took", time.Since(r.start))
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

// countPending starts the gauge of pending messages. What fired after all that the mark
// says is still counted; unfiredIterator takes it off.
func (s *Store) countPending(r *recovery) error {
	n := int64(0)
	for i := range r.late {
		if r.late[i].FireMs() <= r.mark.firedMs {
			n++
		}
	}
	reached := r.mark.reached()
	undone, err := r.countUndone(r.mark.firedMs+1, reached+1)
	if err != nil {
		return fmt.Errorf("count pending messages: %w", err)
	}
	n += undone
	snaps := s.snapshots()
	defer releaseAll(snaps)
	for _, sn := range snaps {
		count, err := sn.CountExact(reached+1, noDeadline)
		if err != nil {
			return fmt.Errorf("count pending messages: %w", err)
		}
		n += count
	}
	s.pending.Store(n - int64(len(s.cancels.from(reached+1))))
	return nil
}

// countUndone looks at what is due in [from, to), the time by which heavy topics are
// behind: what others fired of it may be in the index or not.
func (r *recovery) countUndone(from, to int64) (n int64, err error) {
	if from >= to {
		return 0, nil
	}
	it := mergeSnapshots(r.s.snapshots(), from, to)
	defer it.Close()
	block := make([]delayindex.Entry, loadBlock)
	for {
		got, err := it.Next(block)
		if err != nil || got == 0 {
			return n, err
		}
		for i := range block[:got] {
			if e := &block[i]; !r.already(e) && !r.s.cancels.has(commitlog.Loc(e.Loc)) {
				n++
			}
		}
	}
}

// unfiredIterator leaves out what the journal says was fired.
type unfiredIterator struct {
	delayindex.Iterator
	s     *Store
	fired map[commitlog.Loc]struct{}
}

func (u *unfiredIterator) Next(dst []delayindex.Entry) (int, error) {
	for {
		n, err := u.Iterator.Next(dst)
		if err != nil || n == 0 {
			return n, err
		}
		kept := dst[:0]
		for i := range n {
			if _, done := u.fired[commitlog.Loc(dst[i].Loc)]; !done {
				kept = append(kept, dst[i])
			}
		}
		u.s.pending.Add(int64(len(kept) - n)) // countPending did not know better
		if len(kept) > 0 {
			return len(kept), nil
		}
	}
}
