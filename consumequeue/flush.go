package consumequeue

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/duelog/duelog/internal/durable"
)

const (
	// writeBytes is the most that is written to a file at once.
	writeBytes = 2048 * EntrySize

	// hotEntries stay in memory after a Flush, for the consumers that have
	// nearly caught up.
	hotEntries = chunkEntries
)

// Flush makes every entry that was visible at the call durable in files and
// returns the slot up to which they are. With nothing to do it does nothing.
// After an error the entries are still in memory, upTo is what was durable
// before, and the next Flush tries again.
func (q *Queue) Flush() (upTo int64, err error) {
	q.io.Lock()
	defer q.io.Unlock()
	from, to, err := q.unsynced()
	if err != nil || from == to {
		return from, err
	}
	if err := q.write(from, to); err != nil {
		return from, fmt.Errorf("flush queue %d of %s: %w", q.ID(), q.Topic(), err)
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.synced, q.asked = to, false
	q.tail.release(to - hotEntries)
	return to, nil
}

func (q *Queue) unsynced() (from, to int64, err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed {
		return q.synced, q.synced, ErrClosed
	}
	return q.synced, q.visible.Load(), nil
}

// write makes the entries [from, to) durable. io is held.
func (q *Queue) write(from, to int64) error {
	if err := durable.MakeDir(q.dir); err != nil {
		return err
	}
	for from < to {
		base := from - from%q.set.fileEntries
		end := min(to, base+q.set.fileEntries)
		if err := q.writeFile(base, from, end); err != nil {
			return err
		}
		from = end
	}
	return q.syncNames()
}

// writeFile makes the entries [from, to) of the file of base durable.
func (q *Queue) writeFile(base, from, to int64) error {
	f, err := q.openWrite(base)
	if err != nil {
		return err
	}
	err = q.writeTrimmed(f, base, from)
	if err == nil {
		err = q.writeRange(f, base, from, to, q.encode)
	}
	if err == nil {
		err = durable.Datasync(f)
	}
	return errors.Join(err, f.Close())
}

// openWrite opens the file of base, which it creates if need be. A new name has
// to be synced.
func (q *Queue) openWrite(base int64) (*os.File, error) {
	f, err := os.OpenFile(q.path(base), os.O_WRONLY, 0)
	if errors.Is(err, os.ErrNotExist) {
		q.named = false
		return durable.OpenFile(q.path(base), os.O_WRONLY|os.O_CREATE, 0o644)
	}
	return f, err
}

// writeTrimmed fills the slots below Min that f does not hold with void
// entries. There are such when recovery writes again what an earlier run had
// flushed and trimmed. Should this run die too, the checkpoint that names them
// is still the old one, and a hole there would look like damage.
func (q *Queue) writeTrimmed(f *os.File, base, from int64) error {
	st, err := f.Stat()
	if err != nil {
		return err
	}
	return q.writeRange(f, base, base+st.Size()/EntrySize, min(q.Min(), from), encodeVoid)
}

func encodeVoid(dst []byte, from, to int64) []byte {
	for slot := from; slot < to; slot++ {
		dst = AppendEntry(dst, slot, &Entry{Flags: FlagVoid})
	}
	return dst
}

// writeRange writes what encode makes of the slots [from, to), piece by piece.
func (q *Queue) writeRange(f *os.File, base, from, to int64, encode func(dst []byte, from, to int64) []byte) error {
	buf := q.set.writeBufs.Get().(*[writeBytes]byte)
	defer q.set.writeBufs.Put(buf)
	for from < to {
		end := min(to, from+writeBytes/EntrySize)
		b := encode(buf[:0], from, end)
		if _, err := durable.WriteAt(f, b, (from-base)*EntrySize); err != nil {
			return err
		}
		from = end
	}
	return nil
}

// encode appends the visible entries [from, to) to dst. mu is not held while
// it computes: visible entries do not change, and io keeps them in memory.
func (q *Queue) encode(dst []byte, from, to int64) []byte {
	for from < to {
		q.mu.Lock()
		run := q.tail.run(from)
		q.mu.Unlock()
		run = run[:min(int64(len(run)), to-from)]
		for i := range run {
			dst = AppendEntry(dst, from+int64(i), &run[i])
		}
		from += int64(len(run))
	}
	return dst
}

// syncNames makes the names of new files durable, and of their directories.
// Names found at open count as new: the process that made them may have been
// killed before it could sync them. io is held.
func (q *Queue) syncNames() error {
	if q.named {
		return nil
	}
	for _, dir := range []string{q.dir, filepath.Dir(q.dir), q.set.dir} {
		if err := durable.SyncDir(dir); err != nil {
			return err
		}
	}
	q.named = true
	return nil
}
