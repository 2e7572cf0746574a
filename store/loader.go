package store

import (
	"fmt"
	"time"

	"github.com/duelog/duelog/delayindex"
)

const (
	// defaultHorizon is how far ahead of now the wheel is loaded. The next step
	// comes when less than half of it is left.
	defaultHorizon = 90 * time.Second
	loadBlock      = 4096
	// catchUpEntries bounds a step that is longer than the wheel, as after a step of the
	// clock or a long stop: what is due long ago is fired while the next is loaded.
	catchUpEntries = 64 << 10
)

// horizonLowMs is how far ahead the horizon is when the next step is due.
func (s *Store) horizonLowMs() int64 { return s.opts.horizon.Milliseconds() / 2 }

// load brings the delay index into the near wheel, a step at a time. One
// goroutine owns it; it is kicked by the dispatcher.
func (s *Store) load() {
	defer s.wg.Done()
	for {
		for s.horizonIsLow() {
			if err := s.loadStep(); err != nil {
				s.indexFailed(fmt.Errorf("load delay index: %w", err))
				return
			}
			s.clock.wake()
		}
		select {
		case <-s.stop:
			return
		case <-s.loaderKick:
		}
	}
}

// horizonIsLow reports whether there is something to load and room for it.
func (s *Store) horizonIsLow() bool {
	if s.closed.Load() {
		return false
	}
	now := s.clock.NowMs()
	s.near.mu.Lock()
	defer s.near.mu.Unlock()
	return s.near.horizonMs < min(now+s.horizonLowMs(), s.near.topLocked()) && s.near.count < s.opts.NearEntries/2
}

// loadStep raises the horizon by as much as fits and loads up to it.
func (s *Store) loadStep() error {
	s.near.mu.Lock()
	from := s.near.horizonMs
	room := int64(s.opts.NearEntries - s.near.count)
	s.near.mu.Unlock()

	to, streamed := s.chooseStep(from, room)
	to, snaps := s.raiseHorizon(to)
	if streamed {
		releaseAll(snaps)
	} else if err := s.fill(mergeSnapshots(snaps, from, to)); err != nil {
		return err
	}
	s.near.mu.Lock()
	if streamed && to > from {
		s.near.streamLocked(from / 1000)
	}
	s.near.loadedMs = to
	s.near.mu.Unlock()
	return nil
}

// chooseStep takes a wheel's length at most, or more of a time in which there is little,
// and halves that until its entries fit; a single second that does not fit is streamed.
func (s *Store) chooseStep(from, room int64) (to int64, streamed bool) {
	left := (s.clock.NowMs()+s.opts.horizon.Milliseconds())/1000 - from/1000
	secs := max(min(left, s.opts.horizon.Milliseconds()/1000), 1)
	snaps := s.snapshots()
	defer releaseAll(snaps)
	count := func(secs int64) (n int64) {
		for _, sn := range snaps {
			n += sn.Count(from, from+secs*1000)
		}
		return n
	}
	for secs < left && count(min(2*secs, left)) <= min(room, catchUpEntries) {
		secs = min(2*secs, left)
	}
	n := count(secs)
	for n > room && secs > 1 {
		secs /= 2
		n = count(secs)
	}
	return from + secs*1000, n > max(room, int64(s.opts.NearEntries)/2)
}

// raiseHorizon lets arrivals before to, or before the ceiling, come to the wheel
// from now on. It returns that time and what was in the index until now.
func (s *Store) raiseHorizon(to int64) (int64, []*delayindex.Snapshot) {
	s.near.mu.Lock()
	defer s.near.mu.Unlock()
	to = max(min(to, s.near.topLocked()), s.near.horizonMs)
	s.near.horizonMs = to
	return to, s.snapshotsLocked()
}

// snapshots returns a view of all lanes at one moment: an entry that moves from
// one lane to another is in one of them.
func (s *Store) snapshots() []*delayindex.Snapshot {
	s.near.mu.Lock()
	defer s.near.mu.Unlock()
	return s.snapshotsLocked()
}

// snapshotsLocked is called with near.mu held.
func (s *Store) snapshotsLocked() []*delayindex.Snapshot {
	snaps := make([]*delayindex.Snapshot, 0, laneCount+1)
	for _, l := range s.lanes {
		snaps = append(snaps, l.index.Snapshot())
	}
	return append(snaps, s.cold.index.Snapshot())
}

func releaseAll(snaps []*delayindex.Snapshot) {
	for _, sn := range snaps {
		sn.Release()
	}
}

// fill reads it to its end into the wheel.
func (s *Store) fill(it delayindex.Iterator) error {
	defer it.Close()
	block := make([]delayindex.Entry, loadBlock)
	for {
		n, err := it.Next(block)
		if err != nil || n == 0 {
			return err
		}
		s.near.mu.Lock()
		s.near.loadLocked(block[:n])
		s.near.mu.Unlock()
	}
}

// mergeSnapshots iterates over all lanes in fire-time order; closing it
// releases the snapshots.
func mergeSnapshots(snaps []*delayindex.Snapshot, from, to int64) delayindex.Iterator {
	its := make([]delayindex.Iterator, 0, len(snaps))
	for _, sn := range snaps {
		its = append(its, sn.Iter(from, to))
	}
	return &snapshotIterator{Iterator: delayindex.Merge(its...), snaps: snaps}
}

type snapshotIterator struct {
	delayindex.Iterator
	snaps []*delayindex.Snapshot
}

func (it *snapshotIterator) Close() {
	it.Iterator.Close()
	releaseAll(it.snaps)
}
