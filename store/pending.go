package store

import (
	"fmt"
	"iter"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// What waits is known to the delay index alone. Both questions here are answered
// from snapshots of it, so they neither stop arrivals nor firing, and both leave
// out what the mark says is done; the list leaves out what was cancelled, too, which the
// histogram counts until its time. What fired within the millisecond of the mark,
// and messages of deleted topics, are still in the answer: up to one millisecond
// of firings, and until their time comes. So is, in a histogram, what others fired
// of the time by which a heavy topic is behind.

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
// [fromMs+i*stepMs, fromMs+(i+1)*stepMs). It costs one look at what is in memory
// and at most a block of each run of the index per bound, however many wait.
func (s *Store) PendingHistogram(fromMs, stepMs int64, n int) ([]int64, error) {
	if s.closed.Load() {
		return nil, ErrClosed
	}
	counts := make([]int64, n)
	since := s.mark().firedMs + 1
	snaps := s.snapshots()
	defer releaseAll(snaps)
	for _, sn := range snaps {
		if err := sn.Histogram(fromMs, stepMs, since, counts); err != nil {
			return nil, fmt.Errorf("count pending messages: %w", err)
		}
	}
	return counts, nil
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
	if since := m.firedMs + 1; since > w.from.FireMs {
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
			if !first && delayindex.Compare(e, &passed) <= 0 || e.Flags()&delayindex.FlagTombstone != 0 || m.done(e) || w.s.cancels.has(commitlog.Loc(e.Loc)) {
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
