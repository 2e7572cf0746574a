package store

import (
	"fmt"
	"iter"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// What waits is known to the delay index alone. Both questions here are answered
// from snapshots of it, so they neither stop arrivals nor firing, and both leave
// out what the mark says is done and what was cancelled. The answer is exact while
// nothing is put, fired, cancelled or moved; otherwise what changes meanwhile may be in
// it or not. Messages of deleted topics are in it until their time.
//
// Beyond the mark nothing is done but the part of one millisecond that is being
// fired: a snapshot is counted there, less the table of cancellations. What is left
// of the time before it is looked at entry by entry: while a topic is behind, what it
// has not fired; after the clock was set back, what came since then.

// PendingPosition is a place in the order in which messages fire.
type PendingPosition struct {
	FireMs int64
	Loc    commitlog.Loc // of the last message of that millisecond that was seen
}

// PendingMessage is a scheduled message that has not fired.
type PendingMessage struct {
	FireMs int64
	Loc    commitlog.Loc
	Size   int32 // of its payload, for Read
	Tag    uint32
	Key    uint32
	Queue  *Queue // nil: its topic was deleted, and it will be dropped
}

// Position is the place of m; what comes behind it has not been seen.
func (m *PendingMessage) Position() PendingPosition { return PendingPosition{m.FireMs, m.Loc} }

// PendingHistogram counts, for each i below n, the messages that wait for
// [fromMs+i*stepMs, fromMs+(i+1)*stepMs). It costs one look at what is in memory, one
// at the cancellations of the time, and at most a block of each run of the index per
// bound, however many wait; while a topic is behind the others also a look at each entry
// of the time by which it is.
func (s *Store) PendingHistogram(fromMs, stepMs int64, n int) ([]int64, error) {
	if s.closed.Load() {
		return nil, ErrClosed
	}
	h := pendingHistogram{s: s, fromMs: fromMs, stepMs: stepMs, counts: make([]int64, n)}
	cancelled := s.cancels.from(fromMs) // before the snapshot, in which all of them are then
	h.mark = s.mark()
	snaps := s.snapshots()
	defer releaseAll(snaps)
	for _, sn := range snaps {
		if err := sn.Histogram(fromMs, stepMs, h.mark.reached()+1, h.counts); err != nil {
			return nil, fmt.Errorf("count pending messages: %w", err)
		}
	}
	for _, fireMs := range cancelled {
		if fireMs > h.mark.reached() {
			h.add(fireMs, -1)
		}
	}
	if err := h.addUndone(); err != nil {
		return nil, fmt.Errorf("count pending messages: %w", err)
	}
	return h.counts, nil
}

// pendingHistogram is the state of one PendingHistogram.
type pendingHistogram struct {
	s              *Store
	mark           mark
	fromMs, stepMs int64
	counts         []int64
}

// add counts n messages. Of what is taken off some may have left the index meanwhile.
func (h *pendingHistogram) add(fireMs, n int64) {
	if i := (fireMs - h.fromMs) / h.stepMs; fireMs >= h.fromMs && i < int64(len(h.counts)) {
		h.counts[i] = max(h.counts[i]+n, 0)
	}
}

// addUndone counts what waits although the mark has come as far.
func (h *pendingHistogram) addUndone() error {
	from, to := max(h.s.pendingSince(&h.mark), h.fromMs), h.mark.reached()+1
	if from >= to {
		return nil
	}
	it := mergeSnapshots(h.s.snapshots(), from, to)
	defer it.Close()
	block := make([]delayindex.Entry, loadBlock)
	for {
		n, err := it.Next(block)
		if err != nil || n == 0 {
			return err
		}
		for i := range block[:n] {
			if e := &block[i]; h.s.waits(e, &h.mark) {
				h.add(e.FireMs(), 1)
			}
		}
	}
}

// pendingSince returns before when nothing waits: what came after the clock was set back
// may be due before the mark.
func (s *Store) pendingSince(m *mark) int64 { return min(m.firedMs, s.clock.NowMs()) + 1 }

// waits reports whether an entry is to fire, as far as m tells.
func (s *Store) waits(e *delayindex.Entry, m *mark) bool {
	return e.Flags()&delayindex.FlagTombstone == 0 && !m.done(e) && !s.cancels.has(commitlog.Loc(e.Loc))
}

// PendingAfter yields what waits behind a position and before toMs, in the order
// in which it fires. The zero position is before all. An error ends it. What is
// scheduled or fires meanwhile may be in it or not.
//
// It works through the time in windows that grow where little waits, so that
// stopping early costs little; a window holds what Snapshot.Iter of package
// delayindex does.
func (s *Store) PendingAfter(after PendingPosition, toMs int64) iter.Seq2[PendingMessage, error] {
	return func(yield func(PendingMessage, error) bool) {
		w := pendingScan{s: s, from: after, toMs: min(toMs, delayindex.MaxFireMs+1), spanMs: firstPendingWindow}
		for w.from.FireMs < w.toMs {
			more, err := w.window(yield)
			if err != nil {
				yield(PendingMessage{}, err)
				return
			}
			if !more {
				return
			}
		}
	}
}

const (
	firstPendingWindow = 1000 // ms
	lastPendingWindow  = 1 << 40
	// A window that yielded fewer than fewPending makes the next one longer, one
	// with more than manyPending makes it shorter.
	fewPending  = 4 << 10
	manyPending = 64 << 10
)

// pendingScan is the state of one PendingAfter.
type pendingScan struct {
	s      *Store
	from   PendingPosition
	toMs   int64
	spanMs int64
}

// window yields what waits within the next span of time.
func (w *pendingScan) window(yield func(PendingMessage, error) bool) (more bool, err error) {
	if w.s.closed.Load() {
		return false, ErrClosed
	}
	m := w.s.mark()
	if since := w.s.pendingSince(&m); since > w.from.FireMs {
		w.from = PendingPosition{FireMs: since}
	}
	end := min(w.from.FireMs+w.spanMs, w.toMs)
	it := mergeSnapshots(w.s.snapshots(), w.from.FireMs, end)
	defer it.Close()
	passed := delayindex.Entry{When: delayindex.MakeWhen(w.from.FireMs, 0), Loc: uint64(w.from.Loc)}
	first := w.from.Loc == 0 // lane 0, offset 0 is a record's header, never a message
	var block [loadBlock / 8]delayindex.Entry
	total := 0
	for {
		n, err := it.Next(block[:])
		if err != nil {
			return false, fmt.Errorf("list pending messages: %w", err)
		}
		if n == 0 {
			break
		}
		total += n
		for i := range block[:n] {
			e := &block[i]
			if !first && delayindex.Compare(e, &passed) <= 0 || !w.s.waits(e, &m) {
				continue
			}
			if !yield(w.s.pendingMessage(e), nil) {
				return false, nil
			}
		}
	}
	w.from = PendingPosition{FireMs: end}
	w.adjust(total)
	return true, nil
}

func (w *pendingScan) adjust(found int) {
	switch {
	case found < fewPending:
		w.spanMs = min(w.spanMs*4, lastPendingWindow)
	case found > manyPending:
		w.spanMs = max(w.spanMs/4, firstPendingWindow)
	}
}

func (s *Store) pendingMessage(e *delayindex.Entry) PendingMessage {
	return PendingMessage{
		FireMs: e.FireMs(), Loc: commitlog.Loc(e.Loc), Size: int32(e.Size), Tag: e.Tag, Key: e.Key,
		Queue: s.registry.byID(e.Queue),
	}
}
