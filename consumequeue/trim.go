package consumequeue

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/duelog/duelog/internal/durable"
)

// TrimBefore raises Min to slot, at most to Visible, and unlinks the files that
// are wholly below it and flushed. The newest file stays, so that an empty
// queue still shows where it was. A file that cannot be unlinked is logged and
// tried again by the next TrimBefore.
func (q *Queue) TrimBefore(slot int64) {
	q.io.Lock()
	defer q.io.Unlock()
	end := q.raiseMin(slot)
	end -= end % q.set.fileEntries
	if end <= q.unlinked {
		return
	}
	if err := q.unlinkBelow(end); err != nil {
		q.set.opts.Logger.Warn("cannot remove old consume queue files; they only take space",
			"topic", q.Topic(), "queue", q.ID(), "err", err)
		return
	}
	q.unlinked = end
}

// freeEntries is the grain of FreeBefore: 64 KiB.
const freeEntries = 2048

// FreeBefore gives the space of the slots below slot back that lie in a file which is
// still needed, in steps of 64 KiB. A checkpoint vouches that they are trimmed: after
// a restart Set.Queue is told of a minimum not below slot. What cannot be freed now is
// tried again with more.
func (q *Queue) FreeBefore(slot int64) {
	q.io.Lock()
	defer q.io.Unlock()
	q.mu.Lock()
	end := min(slot, q.min.Load(), q.synced)
	if q.closed {
		end = 0
	}
	q.mu.Unlock()
	end -= end % freeEntries
	base := end - end%q.set.fileEntries
	from := max(q.freed, base)
	if end <= from {
		return
	}
	if err := q.punch(base, from, end); err != nil {
		q.set.opts.Logger.Warn("cannot give back the space of old consume queue entries", "topic", q.Topic(), "queue", q.ID(), "err", err)
		return
	}
	q.freed = end
}

// punch frees the slots [from, end) of the file of base. io is held.
func (q *Queue) punch(base, from, end int64) error {
	f, err := os.OpenFile(q.path(base), os.O_WRONLY, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(durable.PunchHole(f, (from-base)*EntrySize, (end-from)*EntrySize), f.Close())
}

// raiseMin returns the slot below which nobody needs the files.
func (q *Queue) raiseMin(slot int64) int64 {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return 0
	}
	q.min.Store(max(q.min.Load(), min(slot, q.visible.Load())))
	return min(q.min.Load(), q.synced)
}

// unlinkBelow removes files in order, oldest first, and makes that durable: a
// gap in the middle of the files would look like damage. io is held.
func (q *Queue) unlinkBelow(end int64) error {
	bases, err := q.listFiles()
	if err != nil {
		return err
	}
	removed := false
	for i, base := range bases {
		if base >= end || i == len(bases)-1 {
			break
		}
		if err := durable.Remove(q.path(base)); err != nil {
			return err
		}
		q.set.files.drop(func(k fileKey) bool { return k == fileKey{q, base} })
		removed = true
	}
	if !removed {
		return nil
	}
	return durable.SyncDir(q.dir)
}

// Delete removes the queue and its files for ever; the caller has made sure
// that no checkpoint names it any more. Afterwards reads get ErrClosed, and
// entries that are still put go nowhere. The set can open the queue anew, also after
// an error, which says that files are left as a crash would leave them: nobody reads
// them, and a new queue of that name writes over them.
func (q *Queue) Delete() error {
	err := q.remove()
	q.set.forget(q)
	if err != nil {
		return fmt.Errorf("delete queue %d of %s: %w", q.ID(), q.Topic(), err)
	}
	return nil
}

func (q *Queue) remove() error {
	q.io.Lock()
	defer q.io.Unlock()
	if q.deleted {
		return nil
	}
	q.deleted = true // once: a new queue may have the name afterwards
	q.discard()
	err := durable.RemoveAll(q.dir)
	q.set.files.drop(func(k fileKey) bool { return k.queue == q })
	if err != nil {
		return err
	}
	return q.syncRemoval()
}

// syncRemoval makes it durable that the queue's directory is gone, and takes
// that of the topic along if it is empty.
func (q *Queue) syncRemoval() error {
	topicDir := filepath.Dir(q.dir)
	err := durable.SyncDir(topicDir)
	if errors.Is(err, fs.ErrNotExist) { // never flushed, or the topic's last queue is gone
		return nil
	}
	return errors.Join(err, removeEmpty(topicDir))
}

// removeEmpty removes dir unless something is in it.
func removeEmpty(dir string) error {
	names, err := os.ReadDir(dir)
	if err != nil || len(names) > 0 {
		return err
	}
	_ = durable.Remove(dir) // loses against a queue that is created now
	return nil
}
