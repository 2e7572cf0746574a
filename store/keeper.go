package store

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// keep is the goroutine that writes checkpoints, flushes memtables and enforces
// retention. An error of it is a failed write of the store's own metadata: the
// store then fails as a whole rather than go on with a growing recovery.
func (s *Store) keep() {
	defer s.wg.Done()
	tick := time.NewTicker(s.opts.keeperTick)
	defer tick.Stop()
	k := keeper{s: s, lastCheckpoint: time.Now(), lastRetention: time.Now()}
	for {
		select {
		case <-s.stop:
			return
		case <-s.keeperKick:
		case <-tick.C:
		}
		if err := k.run(); err != nil {
			s.keeperFailed(err)
		} else if s.diskFull.Swap(false) {
			s.log.Info("disk has space again: new messages are accepted")
		}
	}
}

// keeper is the state of the keep goroutine.
type keeper struct {
	s              *Store
	lastCheckpoint time.Time
	lastRetention  time.Time
	lastBytes      int64
}

func (k *keeper) run() error {
	k.s.keepMu.Lock()
	defer k.s.keepMu.Unlock()
	if err := k.s.logError(); err != nil {
		k.s.fail(err) // whatever the cause, want of space too
		return err
	}
	now := time.Now()
	k.s.watchDisk()
	k.s.rollOldSegments()
	k.s.freezeOldMemtables()
	err := k.s.flushIndexes() // on a full disk retention is what makes room
	appended := k.s.appendedBytes()
	due := now.Sub(k.lastCheckpoint) >= k.s.opts.CheckpointEvery || appended-k.lastBytes >= k.s.opts.CheckpointBytes ||
		k.s.uncovered() >= k.s.opts.CheckpointFirings
	if k.s.queuesFull.Swap(false) || due {
		if cerr := k.s.checkpoint(); cerr != nil {
			err = errors.Join(err, cerr)
		} else {
			k.lastCheckpoint, k.lastBytes = now, appended
		}
	}
	if now.Sub(k.lastRetention) >= retentionEvery {
		k.lastRetention = now
		err = errors.Join(err, k.s.retain())
		k.s.kickKeys()
	}
	return err
}

// appendedBytes is a figure that grows by what recovery would have to read.
func (s *Store) appendedBytes() int64 {
	total := s.journalLog.Tail()
	for _, l := range s.lanes {
		total += l.log.Tail()
	}
	return total
}

// uncovered is how many firings recovery would have to put again.
func (s *Store) uncovered() int64 { return s.firings.Load() - s.checkpointed.Load() }

// logError finds a log that turned read-only where nobody was told, because it
// was not a batch of messages that failed: when a segment was sealed.
func (s *Store) logError() error {
	for _, l := range s.lanes {
		if err := l.log.Err(); err != nil {
			return err
		}
	}
	return cmp.Or(s.journalLog.Err(), s.cancelLog.Err())
}

// rollOldSegments seals segments that are older than their lane's bound even
// when nothing is appended any more.
func (s *Store) rollOldSegments() {
	for _, l := range s.lanes {
		if laneClasses[l.id].rollAfter > 0 {
			if err := l.log.RollIfOld(s.clock.NowMs()); err != nil && !errors.Is(err, commitlog.ErrClosed) {
				s.log.Warn("old segment cannot be sealed yet", "lane", l.id, "error", err)
			}
		}
	}
}

// freezeOldMemtables bounds the age of what is only in memory, and with it the
// lane bytes that recovery reads.
func (s *Store) freezeOldMemtables() {
	now := s.clock.NowMs()
	s.near.mu.Lock()
	defer s.near.mu.Unlock()
	for _, l := range s.lanes {
		if l.bornMs != 0 && now-l.bornMs >= s.opts.MemtableAge.Milliseconds() && l.index.Freeze() {
			l.bornMs = 0
			l.freezeKeys()
		}
	}
}

// flushIndexes writes the frozen memtables of all lanes as runs.
func (s *Store) flushIndexes() error {
	for _, l := range s.lanes {
		for l.index.Frozen() > 0 {
			if err := s.flushIndex(l); err != nil {
				return fmt.Errorf("flush delay index of lane %d: %w", l.id, err)
			}
		}
	}
	err := s.flushAllKeys()
	for _, l := range s.lanes {
		s.judgeIndex(l)
	}
	return err
}

// flushIndex writes the oldest frozen memtable of a lane. Entries that the mark
// covers are left out: they were fired, and the journal that says so must be
// durable before the index forgets them, as must the lane bytes that the run
// stands for.
func (s *Store) flushIndex(l *lane) error {
	m := s.mark()
	ri, wrote, err := l.index.Flush(func(e *delayindex.Entry) bool {
		return !m.done(e)
	})
	if err != nil {
		return err
	}
	s.checkpointMu.Lock()
	defer s.checkpointMu.Unlock()
	m = s.mark() // anew: a checkpoint since then has kept a later one, and dropped the journal before it
	if err := s.syncAsync(); err != nil {
		return err
	}
	var e edit
	if wrote {
		e.run(l.id, ri)
	}
	e.indexed(l.id, ri.End)
	s.addSegments(&e) // before the mark: how long late messages live
	if err := s.addDeaths(&e); err != nil {
		return err
	}
	e.mark(m)
	if err := s.catalog.commit(e); err != nil {
		return err
	}
	s.deathsKept()
	if err := l.index.Install(ri, wrote); err != nil {
		return err
	}
	s.written[BytesIndex].Add(l.index.RunBytes(ri))
	return nil
}

// syncAsync makes all that was written durable. With commitlog.Sync it is so
// already, and so is a log that Close has closed.
func (s *Store) syncAsync() error {
	if s.opts.Flush == commitlog.Sync {
		return nil
	}
	if err := errors.Join(s.journalLog.Sync(), s.cancelLog.Sync()); err != nil {
		return err
	}
	for _, l := range s.lanes {
		if err := l.log.Sync(); err != nil && !errors.Is(err, commitlog.ErrClosed) {
			return err
		}
	}
	return nil
}

// mark returns the newest mark of the dispatcher.
func (s *Store) mark() mark {
	s.markMu.Lock()
	defer s.markMu.Unlock()
	return s.lastMark
}
