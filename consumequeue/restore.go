package consumequeue

import (
	"fmt"
	"strconv"
)

// maxGap bounds how far beyond the end a restored slot may be, and so the
// memory that one damaged slot number can cost.
const maxGap = 1 << 26

// openQueue finds where the queue starts, and touches no file.
func openQueue(s *Set, key queueKey, min, next int64) (*Queue, error) {
	q := &Queue{set: s, key: key, dir: s.queueDir(key)}
	bases, err := q.listFiles()
	if err != nil {
		return nil, err
	}
	if len(bases) > 0 && min < bases[0] {
		first := bases[0]
		if first > next {
			first = next
		}
		s.opts.Logger.Info("queue starts later than the checkpoint says", "topic", key.topic, "queue", key.id,
			"checkpoint_min", min, "min", first)
		min = first
	}
	q.min.Store(min)
	q.visible.Store(next)
	q.next.Store(next)
	q.opened, q.synced = next, next
	q.tail = newTail(next, &s.chunks)
	return q, nil
}

// listFiles returns the first slots of the queue's files in order.
func (q *Queue) listFiles() ([]int64, error) { return ListFiles(q.dir, q.set.fileEntries) }

const nameDigits = 20

func fileName(base int64) string { return fmt.Sprintf("%0*d", nameDigits, base*EntrySize) }

// parseName returns the first slot of the file called name; ok is false for a
// name that this package does not give.
func parseName(name string, fileEntries int64) (base int64, ok bool) {
	if len(name) != nameDigits {
		return 0, false
	}
	off, err := strconv.ParseUint(name, 10, 63)
	base = int64(off / EntrySize)
	return base, err == nil && off%EntrySize == 0 && base%fileEntries == 0
}

// Restore puts a slot again during recovery, before the first Reserve. It may
// come in any order and more than once. Slots below the checkpoint's next are
// already in files and are ignored; one beyond Next raises Next. A slot that
// is impossibly far away is ErrRange; one that already holds another entry is
// ErrTaken and keeps it.
func (q *Queue) Restore(slot int64, e Entry) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	next := q.next.Load()
	switch {
	case q.closed:
		return ErrClosed
	case slot < q.opened || slot < q.tail.start:
		return nil
	case slot-next > maxGap || slot >= maxSlot:
		return fmt.Errorf("restore slot %d of queue %d of %s, which ends at %d: %w", slot, q.ID(), q.Topic(), next, ErrRange)
	}
	if old := q.tail.at(slot); old != nil {
		return q.checkSame(slot, old, &e)
	}
	q.next.Store(max(next, slot+1))
	q.tail.put(slot, &e)
	q.advance()
	return nil
}

func (q *Queue) checkSame(slot int64, old, e *Entry) error {
	if old.Loc == e.Loc && old.Size == e.Size {
		return nil
	}
	return fmt.Errorf("restore slot %d of queue %d of %s with loc %#x, has %#x: %w", slot, q.ID(), q.Topic(), e.Loc, old.Loc, ErrTaken)
}

// Seal ends recovery: it fills the holes below Next with void entries, makes
// everything visible and returns the number of holes. A void entry has the
// deliver time of the next real one, so that SearchTime stays right.
func (q *Queue) Seal() (holes int64) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return 0
	}
	void := Entry{Flags: FlagVoid}
	for slot := q.next.Load() - 1; slot >= q.visible.Load(); slot-- {
		if e := q.tail.at(slot); e != nil {
			void.DeliverMs = e.DeliverMs
			continue
		}
		q.tail.put(slot, &void)
		holes++
	}
	q.advance()
	return holes
}
