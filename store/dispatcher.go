package store

import (
	"errors"
	"fmt"
	"time"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/consumequeue"
	"github.com/duelog/duelog/delayindex"
)

const (
	// prepareAhead is how long before its start a second is sorted.
	prepareAhead = 1000 // ms
	// diskRetry is how long firing pauses when the journal finds no space.
	diskRetry = 100 // ms
	// loaderPoll is how often a loader that is behind is kicked again.
	loaderPoll = 10 // ms
)

// dispatcher fires what is due: it owns the prepared seconds, the journal's
// appends and the giving of slots to scheduled messages. One goroutine.
type dispatcher struct {
	s   *Store
	due *due

	firedMs  int64            // the fired watermark F; never decreases
	newestMs int64            // latest fire time that was fired
	covered  int64            // end of the journal whose firings all lie within the mark
	absorbed [laneCount]int64 // lane offsets as of the last drain
	batch    []delayindex.Entry
	firings  []firing
	payload  []byte
	touched  touchedQueues
	fresh    []delayindex.Entry // swapped with near.fresh
	pausedMs int64              // no firing before this time
}

func newDispatcher(s *Store, m mark) *dispatcher {
	return &dispatcher{s: s, due: newDue(), firedMs: m.firedMs, covered: m.journal}
}

// run is the dispatcher's goroutine.
func (d *dispatcher) run() {
	defer d.s.wg.Done()
	defer d.due.close()
	if err := d.s.clock.start(); err != nil {
		d.s.fail(fmt.Errorf("start dispatcher: %w", err))
		return
	}
	defer d.s.clock.stop()
	for !d.stopped() {
		next, err := d.tick()
		if err != nil {
			d.s.indexFailed(fmt.Errorf("fire due messages: %w", err))
			return
		}
		d.s.clock.waitUntil(next)
	}
}

func (d *dispatcher) stopped() bool {
	select {
	case <-d.s.stop:
		return true
	default:
		return false
	}
}

// tick takes in what arrived, fires one batch of what is due and returns when
// to look again.
func (d *dispatcher) tick() (nextMs int64, err error) {
	now := d.s.clock.NowMs()
	preparedMs := d.drain(now)
	if now >= d.pausedMs || d.pausedMs > now+diskRetry { // the latter: the clock was set back
		if err := d.fireDue(now); err != nil {
			return 0, err
		}
	}
	first, err := d.due.peek()
	if err != nil {
		return 0, err
	}
	d.countOverdue(first, now)
	d.publish(min(now, first-1, preparedMs-1))
	return d.arm(max(first, d.pausedMs), now), nil
}

// drain takes the fresh arrivals and prepares the seconds that are near.
func (d *dispatcher) drain(now int64) (preparedMs int64) {
	n := d.s.near
	n.mu.Lock()
	d.fresh, n.fresh = n.fresh, d.fresh[:0]
	n.freshMinMs = noDeadline
	d.absorbed = n.absorbed
	var buckets []*bucket
	taken := d.due.held()
	for taken < d.s.opts.NearEntries/2 && n.preparedMs < n.loadedMs && n.preparedMs-prepareAhead <= now {
		if b := n.takeLocked(n.preparedMs / 1000); b != nil {
			buckets = append(buckets, b)
			taken += len(b.loaded) + len(b.arrivals)
		}
		n.preparedMs += 1000
	}
	preparedMs = n.preparedMs
	n.mu.Unlock()

	d.due.addLate(d.fresh)
	for _, b := range buckets {
		d.due.addSecond(b)
	}
	return preparedMs
}

// arm decides when to look next and tells arrivals which deadline they have to
// beat. Both happen under the lock of the arrivals, so none is missed.
func (d *dispatcher) arm(next, now int64) int64 {
	n := d.s.near
	n.mu.Lock()
	defer n.mu.Unlock()
	lowMs := n.horizonMs - d.s.horizonLowMs()
	if lowMs <= now {
		d.s.kickLoader()
		lowMs = now + loaderPoll // it wakes us when it has something
	}
	next = min(next, lowMs)
	next = min(next, n.freshMinMs)
	if n.preparedMs < n.loadedMs && d.hasRoom() {
		next = min(next, n.wakeMsLocked())
	}
	if d.pausedMs > now {
		next = max(next, d.pausedMs)
	}
	d.s.deadlineMs.Store(next)
	return next
}

// hasRoom tells whether drain takes another second; otherwise that second, though
// its time for being sorted has come, waits until enough has been fired.
func (d *dispatcher) hasRoom() bool { return d.due.held() < d.s.opts.NearEntries/2 }

func (d *dispatcher) countOverdue(first, now int64) {
	switch {
	case first <= now:
		d.s.overdue.Store(d.due.overdue(now))
	case d.s.overdue.Load() > 0:
		d.s.overdue.Store(0)
	}
}

// fireDue fires one batch: slots, journal, queues, watchers, in this order. A
// slot must not be seen before its journal batch is durable: after a crash the
// slot could be given to another message, and a consumer would miss that one.
func (d *dispatcher) fireDue(now int64) error {
	if first, err := d.due.peek(); err != nil || first > now {
		return err
	}
	if wait, err := d.paused(now); wait || err != nil {
		return err
	}
	var err error
	d.batch, err = d.due.take(d.batch[:0], now, d.s.opts.FireBatch)
	if err != nil || len(d.batch) == 0 {
		return err
	}
	if d.batch = d.s.cancels.sift(d.batch); len(d.batch) == 0 {
		return nil
	}
	d.giveSlots()
	if err := d.journal(now); err != nil {
		return err // the batch may or may not be on disk: its slots stay unseen until recovery has read the journal
	}
	d.keepLate(now)
	for i := range d.firings {
		f := &d.firings[i]
		q := d.s.registry.byID(f.queue)
		if q == nil {
			continue
		}
		q.cq.Put(f.slot, consumequeue.Entry{
			Loc: uint64(f.loc), Size: f.size, Flags: consumequeue.FlagScheduled, Tag: f.tag, DeliverMs: now,
		})
		q.fired.Add(1)
		d.touched.add(q)
	}
	d.newestMs = max(d.newestMs, d.batch[len(d.batch)-1].FireMs())
	d.s.pending.Add(int64(-len(d.batch)))
	d.touched.wake()
	d.s.metrics.fired(d.batch, d.s.clock.NowMs())
	return nil
}

// lateSlack is how late a message may fire without its segment living longer.
const lateSlack = 60_000 // ms

// keepLate lets the segments of late messages live from now on, not from their
// fire time. Neighbours in the log, which share a segment, are told of once.
func (d *dispatcher) keepLate(now int64) {
	told := ^commitlog.Loc(0) // the unit that holds all of the last one that was told of
	for i := range d.batch {
		e := &d.batch[i]
		if now-e.FireMs() <= lateSlack {
			return // those behind it were due later
		}
		loc := commitlog.Loc(e.Loc)
		first, last := (loc-commitlog.RecordHeaderSize)/commitlog.GiveBackUnit, (loc+commitlog.Loc(e.Size))/commitlog.GiveBackUnit
		if first == told && last == told {
			continue
		}
		d.s.lanes[loc.Lane()].keepFor(loc, e.Size, now)
		told = last
	}
}

// giveSlots turns the batch into firings. Entries of deleted topics are dropped.
func (d *dispatcher) giveSlots() {
	d.firings = d.firings[:0]
	for i := range d.batch {
		e := &d.batch[i]
		q := d.s.registry.byID(e.Queue)
		if q == nil {
			d.s.metrics.orphaned.Inc()
			continue
		}
		d.firings = append(d.firings, firing{
			loc: commitlog.Loc(e.Loc), slot: q.cq.Reserve(1), queue: e.Queue, size: e.Size, tag: e.Tag,
		})
	}
}

// journal makes the batch durable by the flush policy.
func (d *dispatcher) journal(now int64) error {
	if len(d.firings) == 0 {
		return nil
	}
	d.payload = d.payload[:0]
	for i := range d.firings {
		d.payload = appendFiring(d.payload, &d.firings[i])
	}
	start := time.Now()
	_, err := d.s.journalLog.AppendFrame(d.payload, len(d.firings), now)
	d.s.metrics.journalSeconds.Observe(time.Since(start).Seconds())
	if err == nil {
		d.s.written[BytesJournal].Add(int64(commitlog.FrameHeaderSize + len(d.payload)))
	}
	return err
}

// paused tells whether firing waits for disk space. It is asked before slots are
// given: one that is not journaled can neither be shown nor be taken back.
func (d *dispatcher) paused(now int64) (bool, error) {
	err := d.s.journalLog.Reserve(d.s.opts.FireBatch*journalEntrySize, now)
	if !errors.Is(err, ErrDiskFull) {
		return false, err
	}
	d.pausedMs = now + diskRetry
	d.s.log.Error("firing pauses: no disk space for the journal; free space on the data disk")
	return true, nil
}

// publish makes the mark {firedMs, absorbed, journal} known when it moves
// forward. It holds because entries leave due in fire-time order: all that was
// absorbed before the last drain and is due up to firedMs has been fired. In the
// middle of a millisecond some of what is fired lies beyond the mark; recovery
// has to find it in the journal, which therefore counts as covered only up to
// where that was not so. While the wall clock is behind an earlier mark nothing
// is published.
func (d *dispatcher) publish(firedMs int64) {
	if firedMs < d.firedMs {
		return
	}
	d.firedMs = firedMs
	if d.newestMs <= firedMs {
		d.covered = d.s.journalLog.Tail()
	}
	d.s.markMu.Lock()
	d.s.lastMark = mark{firedMs: firedMs, absorbed: d.absorbed, journal: d.covered}
	d.s.markMu.Unlock()
}
