package store

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
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
	fired firedSet           // of the journal from the replay point on
	late  []delayindex.Entry // not done although not after the mark
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
// to run. Each step needs what those before it have found.
func (s *Store) recover() (*dispatcher, error) {
	r := &recovery{s: s, start: time.Now()}
	for _, step := range []func() error{
		r.openCatalog, r.openQueues,
		r.openJournal,                    // what has fired
		r.openCancels,                    // what must not
		r.openLanes,                      // what there is: slots of due messages, entries of scheduled ones
		r.settleCancels, r.replayFirings, // where some of it is lost
		r.registerSegments,
	} {
		if err := step(); err != nil {
			return nil, err
		}
	}
	s.sealQueues()
	return r.startDispatcher()
}

// openCatalog reads the MANIFEST, in which recovery trusts.
func (r *recovery) openCatalog() (err error) {
	s := r.s
	if s.catalog, err = openCatalog(s.dir, s.log); err != nil {
		return err
	}
	s.catalog.limit, s.catalog.broken = s.opts.manifestLimit, s.fail
	r.st = s.catalog.state
	r.mark = r.st.mark
	if r.mark.firedMs == 0 {
		r.mark.firedMs = s.clock.NowMs() // a new store has fired all of the past
	}
	return nil
}

// openQueues opens the queues of the catalog with the slots that their files have.
func (r *recovery) openQueues() (err error) {
	s := r.s
	s.queues, err = consumequeue.Open(filepath.Join(s.dir, queueDir), &consumequeue.Options{
		Logger: s.log,
		NeedFlush: func(*consumequeue.Queue) {
			s.queuesFull.Store(true)
			s.kickKeeper()
		},
	})
	if err != nil {
		return err
	}
	return s.registry.restore(r.st)
}

func (r *recovery) openLanes() error {
	for i := range r.s.lanes {
		if err := r.openLane(uint8(i)); err != nil {
			return fmt.Errorf("open lane %d: %w", i, err)
		}
	}
	if err := r.openCold(); err != nil {
		return fmt.Errorf("open lane %d: %w", coldLane, err)
	}
	return nil
}

// openLane scans what the checkpoint does not cover and rebuilds the memtable.
func (r *recovery) openLane(id uint8) error {
	s := r.s
	size := s.opts.DelaySegmentSize
	if id == 0 {
		size = s.opts.SegmentSize
	}
	l := &lane{s: s, id: id, segmentSize: size, deaths: r.st.deathsOf(id)}
	l.deaths.segmentSize = size
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
		l.noteDeaths(&f)
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
	l.deaths.found(l.log.Segments(), o.GivenBack)
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
	return r.mark.done(e) || r.fired.has(commitlog.Loc(e.Loc))
}
