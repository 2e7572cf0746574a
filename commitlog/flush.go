package commitlog

import (
	"time"

	"github.com/duelog/duelog/commitlog/segment"
)

// flushBytes wakes the background flusher before its time. It bounds what a power
// loss takes from an Async log.
const flushBytes = 4 << 20

// syncPoint is what an Async log has written and not yet synced.
type syncPoint struct {
	file  *segment.File // nil = nothing
	bytes int64
}

// noteUnsynced is called with smu held.
func (l *Log) noteUnsynced(n int) {
	l.unsynced.file = l.active
	l.unsynced.bytes += int64(n)
	if l.unsynced.bytes >= flushBytes {
		select {
		case l.kick <- struct{}{}:
		default:
		}
	}
}

// Sync makes everything that was committed before the call durable, whatever the
// flush policy. A failure makes the log read-only.
func (l *Log) Sync() error {
	if l.closed.Load() {
		return ErrClosed
	}
	if err := l.in.failure(); err != nil {
		return err
	}
	return l.flush()
}

// flush syncs the segment that is being written, outside of the writer's lock.
// Segments before it were synced when they were sealed.
func (l *Log) flush() error {
	l.flushMu.Lock()
	defer l.flushMu.Unlock()
	l.smu.Lock()
	f := l.unsynced.file
	if f != nil && !f.Acquire() {
		f = nil // sealed, and thereby synced, and removed meanwhile
	}
	l.unsynced = syncPoint{}
	l.smu.Unlock()
	if f == nil {
		return nil
	}
	defer f.Release()
	if err := f.Sync(); err != nil {
		return l.fail(err)
	}
	return nil
}

// flushLoop is the background flusher of an Async log.
func (l *Log) flushLoop() {
	t := time.NewTicker(l.o.FlushEvery)
	defer t.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-l.kick:
		case <-t.C:
		}
		if l.flush() != nil {
			return // logged by fail
		}
	}
}
