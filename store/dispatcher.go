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
	// diskRetry is how long firing pauses when the journal finds no space, maxPause
	// is the longest pause for any reason.
	diskRetry = 100  // ms
	maxPause  = 1001 // ms
	// loaderPoll is how often a loader that is behind is kicked again.
	loaderPoll = 10 // ms
)

// dispatcher fires what is due: it owns the prepared seconds, the journal's
// appends and the giving of slots to scheduled messages. One goroutine.
type dispatcher struct {
	s   *Store
	due *due

	mark     mark             // the newest that was published, with F, which never decreases
	coverage coverage         // ends of the journal that the mark does not cover yet
	lastMs   int64            // no firing of the last process has a later fire time
	absorbed [laneCount]int64 // lane offsets as of the last drain
	orphans  share            // of the queues whose topic was deleted
	sinceOf  [2]int           // of the topics that mark.since was made for: see since
	batch    []delayindex.Entry
	firings  []firing
	payload  []byte
	touched  touchedQueues
	fresh    []delayindex.Entry // swapped with near.fresh
	pace     pace
	asked    int64 // for a checkpoint: the one before it, and 1; 0 = none was
	pausedMs int64 // no firing before this time: no disk space, or enough for now
}

// newDispatcher goes on from m. What fired behind m.journal was due at lastMs at
// the latest; of which topics it was is not known, so none of it counts as covered
// before all topics have passed lastMs.
func newDispatcher(s *Store, m mark, lastMs int64) *dispatcher {
	d := &dispatcher{s: s, mark: m, lastMs: lastMs}
	d.due = newDue(d.topicOf, &m)
	d.due.setParkMax(s.opts.parkMax)
	d.due.backlog.quantum = s.opts.quantum
	d.due.soon = s.prefetch.soon
	d.pace.perSecond = s.opts.FireRate
	d.due.heavyMs = lastMs
	d.cover()
	return d
}

// topicOf tells what the topic of a queue has fired.
func (d *dispatcher) topicOf(queue uint32) *share {
	if q := d.s.registry.byID(queue); q != nil {
		return q.share
	}
	return &d.orphans
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
	d.drain(now)
	if d.pausedMs > now+maxPause {
		d.pausedMs = 0 // the clock was set back
	}
	if now >= d.pausedMs {
		if err := d.fireDue(now); err != nil {
			return 0, err
		}
	}
	return d.settle(now)
}

// settle makes known how far firing is and returns when to look again.
func (d *dispatcher) settle(now int64) (nextMs int64, err error) {
	firedMs, lightMs, err := d.due.doneMs(now)
	if err != nil {
		return 0, err
	}
	left, err := d.due.settle(now)
	if err != nil {
		return 0, err
	}
	if d.due.lag == nil {
		firedMs = lightMs
	}
	d.s.busy.firedMs.Store(firedMs)
	d.s.busy.lightMs.Store(lightMs)
	d.publish(firedMs, lightMs)
	d.showBacklog(left, now)
	first, err := d.due.peek(now)
	if d.due.lag != nil {
		first = min(first, d.due.lag.wakeMs(now))
	}
	return d.arm(max(first, d.pausedMs), now), err
}

// drain takes the fresh arrivals, prepares the seconds that are near, and opens
// the part of the index that the heavy topics need next.
func (d *dispatcher) drain(now int64) {
	n := d.s.near
	n.mu.Lock()
	d.fresh, n.fresh = n.fresh, d.fresh[:0]
	n.freshMinMs = noDeadline
	d.absorbed = n.absorbed
	seconds := d.nextSecondsLocked(now)
	d.due.preparedMs = n.preparedMs
	d.s.busy.lateEntries.Store(int64(d.due.late.len() + len(d.fresh)))
	nearShut, nearChanged := d.s.judgeNearLocked()
	window := d.wantedLocked()
	n.mu.Unlock()

	if nearChanged {
		d.s.logGate(nearShut, BusyNear)
	}
	d.due.addLate(d.fresh)
	if window != nil {
		window()
	}
	for _, next := range seconds {
		d.addSecond(next)
	}
}

// nextSecond is a second to be prepared.
type nextSecond struct {
	sec   int64
	b     *bucket
	snaps []*delayindex.Snapshot // where it is streamed from; nil when it is in b
}

func (d *dispatcher) addSecond(x nextSecond) {
	if x.snaps == nil {
		d.due.addSecond(x.b, x.sec)
		return
	}
	it := mergeSnapshots(x.snaps, x.sec*1000, x.sec*1000+1000)
	d.due.addStream(&prefetchAhead{Iterator: it, p: d.s.prefetch}, x.sec*1000)
}

// nextSecondsLocked takes what is to be prepared at present from the wheel, as far as
// there is room.
func (d *dispatcher) nextSecondsLocked(now int64) (seconds []nextSecond) {
	n := d.s.near
	held, streams := d.due.held(), d.due.streams()
	limit := min(n.loadedMs, (now+prepareAhead)/1000*1000+1000)
	for d.fits(held, streams) {
		next := nextSecond{}
		if next.sec, next.b = n.nextLocked(limit); next.b == nil {
			break
		}
		held += next.b.len()
		if next.b.streamed {
			next.snaps = d.s.snapshotsLocked()
			streams++
		}
		seconds = append(seconds, next)
	}
	return seconds
}

// maxStreams is how many streamed seconds are open at once: the one that fires and the
// one after it. Each has a goroutine, and keeps memtables and runs.
const maxStreams = 2

// fits tells whether another second may be prepared when so many entries and streams are.
func (d *dispatcher) fits(held, streams int) bool {
	return held < d.s.opts.NearEntries/2 && streams < maxStreams
}

// wantedLocked takes a snapshot of what the heavy topics need next; the result,
// nil when there is no need, opens it. The caller holds near.mu: what is fresh is
// in the snapshot, what comes later is not.
func (d *dispatcher) wantedLocked() func() {
	if d.due.lag == nil {
		return nil
	}
	from, to, ok := d.due.lag.wanted()
	if !ok {
		return nil
	}
	snaps := d.s.snapshotsLocked()
	return func() { d.due.lag.open(mergeSnapshots(snaps, from, to), from, to, d.s.clock.wake) }
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
func (d *dispatcher) hasRoom() bool { return d.fits(d.due.held(), d.due.streams()) }

// showBacklog keeps the gauges of what is left over.
func (d *dispatcher) showBacklog(left bool, now int64) {
	if !left && d.s.backlogSince.Load() == 0 {
		return
	}
	overdue, since, heavy := int64(0), int64(0), 0
	if left {
		overdue, since = d.due.overdue(now), d.due.backlog.sinceMs
	}
	if d.due.lag != nil {
		heavy = len(d.due.lag.topics)
	}
	d.s.overdue.Store(overdue)
	d.s.backlogSince.Store(since)
	d.s.heavyTopics.Store(int64(heavy))
}

// fireDue fires one batch: slots, journal, queues, watchers, in this order. A
// slot must not be seen before its journal batch is durable: after a crash the
// slot could be given to another message, and a consumer would miss that one.
func (d *dispatcher) fireDue(now int64) error {
	if any, err := d.due.any(now); err != nil || !any {
		return err
	}
	limit := d.pace.allowed(now, d.s.opts.FireBatch)
	if limit == 0 {
		d.pausedMs = d.pace.againMs()
		d.s.metrics.throttled.Inc()
		return nil
	}
	if wait, err := d.paused(now); wait || err != nil {
		return err
	}
	var err error
	d.batch, err = d.due.take(d.batch[:0], now, limit)
	if err != nil || len(d.batch) == 0 {
		return err
	}
	d.pace.spend(len(d.batch))
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
	d.s.pending.Add(int64(-len(d.batch)))
	d.touched.wake()
	d.s.metrics.fired(d.batch, d.s.clock.NowMs())
	return nil
}

// lateSlack is how late a message may fire without its unit and segment being told:
// they live that much longer anyway.
const lateSlack = 10_000 // ms

// keepLate lets the segments of late messages live from now on, not from their
// fire time. Neighbours in the log, which share a unit, are told of once; in a cold
// file, where a block decides, two of one unit may live differently long.
func (d *dispatcher) keepLate(now int64) {
	told := ^commitlog.Loc(0) // the unit that holds all of the last one that was told of
	for i := range d.batch {
		e := &d.batch[i]
		if now-e.FireMs() <= lateSlack {
			continue
		}
		loc := commitlog.Loc(e.Loc)
		first, last := (loc-commitlog.RecordHeaderSize)/commitlog.GiveBackUnit, (loc+commitlog.Loc(e.Size))/commitlog.GiveBackUnit
		if first == told && last == told && loc.Lane() != coldLane {
			continue
		}
		d.s.keepFor(loc, e.Size, now)
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
	d.payload = appendFirings(d.payload[:0], d.firings)
	start := time.Now()
	_, err := d.s.journalLog.AppendFrame(d.payload, len(d.firings), now)
	d.s.metrics.journalSeconds.Observe(time.Since(start).Seconds())
	if err == nil {
		d.cover()
		d.count(len(d.firings))
		d.s.written[BytesJournal].Add(int64(commitlog.FrameHeaderSize + len(d.payload)))
	}
	return err
}

// count asks for a checkpoint, once, when recovery would have too much to hold.
func (d *dispatcher) count(firings int) {
	d.s.firings.Add(int64(firings))
	if since := d.s.checkpointed.Load() + 1; since != d.asked && d.s.uncovered() >= d.s.opts.CheckpointFirings {
		d.asked = since
		d.s.kickKeeper()
	}
}

// paused tells whether firing waits for disk space. It is asked before slots are
// given: one that is not journaled can neither be shown nor be taken back.
func (d *dispatcher) paused(now int64) (bool, error) {
	err := d.s.journalLog.Reserve(d.s.opts.FireBatch*maxFiringSize, now)
	if !errors.Is(err, ErrDiskFull) {
		return false, err
	}
	d.pausedMs = now + diskRetry
	d.s.log.Error("firing pauses: no disk space for the journal; free space on the data disk")
	return true, nil
}

// cover notes the end of the journal after a batch.
func (d *dispatcher) cover() {
	d.coverage.add(coveredEnd{
		journal: d.s.journalLog.Tail(),
		lightMs: int64(d.due.newest.when >> 16),
		heavyMs: d.due.heavyMs,
	}, d.mark.firedMs, d.mark.lightMs)
}

// publish makes a new mark known when it moves forward. It holds because entries
// leave due and the lag in fire-time order: all that was absorbed before the last
// drain and is due up to firedMs, or lightMs but for the heavy topics, has been
// fired. In the middle of a millisecond some of what is fired lies beyond the mark;
// recovery has to find it in the journal, which therefore counts as covered only
// up to where that was not so. While the wall clock is behind an earlier mark
// nothing is published.
func (d *dispatcher) publish(firedMs, lightMs int64) {
	if firedMs < d.mark.firedMs || lightMs < d.mark.lightMs {
		return
	}
	d.mark = mark{firedMs: firedMs, lightMs: lightMs, since: d.since(), absorbed: d.absorbed, journal: d.mark.journal}
	d.mark.journal = max(d.mark.journal, d.coverage.upTo(firedMs, lightMs))
	if d.due.already != nil && firedMs >= d.lastMs {
		d.due.already = nil // all of that is covered
	}
	d.s.markMu.Lock()
	d.s.lastMark = d.mark
	d.s.markMu.Unlock()
}

// since returns where the queues of heavy topics began to wait; nil without any.
// It is made anew only when there are more of them.
func (d *dispatcher) since() map[uint32]position {
	if d.due.lag == nil {
		d.sinceOf = [2]int{}
		return nil
	}
	if of := [2]int{len(d.due.lag.topics), d.due.topics.found}; of != d.sinceOf {
		d.sinceOf = of
		return d.due.topics.since()
	}
	return d.mark.since
}
