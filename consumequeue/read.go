package consumequeue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"sort"
)

// readBytes is the most that is read from a file at once.
const readBytes = 256 * EntrySize

// Read copies the entries from slot from on into dst and returns how many. It
// returns fewer than len(dst) only at the end of what is visible or before a
// slot that cannot be read; the error is for slot from itself: ErrTrimmed below
// Min, ErrClosed, *CorruptionError (also when its file is missing), or what
// the disk said. At Visible and beyond it returns 0 and no error.
func (q *Queue) Read(from int64, dst []Entry) (int, error) {
	n := 0
	for n < len(dst) {
		k, err := q.readPart(from+int64(n), dst[n:])
		n += k
		if err != nil && n == 0 {
			return 0, err
		}
		if err != nil || k == 0 {
			break
		}
	}
	return n, nil
}

// readPart reads what is in one place: in memory or in one file.
func (q *Queue) readPart(from int64, dst []Entry) (int, error) {
	q.mu.Lock()
	start, visible := q.tail.start, q.visible.Load()
	err := q.checkRead(from)
	if err != nil || from >= visible {
		q.mu.Unlock()
		return 0, err
	}
	if from >= start {
		dst = dst[:min(int64(len(dst)), visible-from)]
		q.tail.copyTo(dst, from)
		q.mu.Unlock()
		return len(dst), nil
	}
	q.mu.Unlock()
	return q.readFile(from, dst[:min(int64(len(dst)), start-from)])
}

// checkRead returns why a slot cannot be read whatever its bytes are. mu is held.
func (q *Queue) checkRead(slot int64) error {
	switch {
	case q.closed:
		return ErrClosed
	case slot < q.min.Load():
		return fmt.Errorf("read slot %d of queue %d of %s, which starts at %d: %w", slot, q.ID(), q.Topic(), q.min.Load(), ErrTrimmed)
	default:
		return nil
	}
}

// readFile reads from the file that holds slot from, at most to its end.
func (q *Queue) readFile(from int64, dst []Entry) (int, error) {
	base := from - from%q.set.fileEntries
	n := min(int64(len(dst)), base+q.set.fileEntries-from, readBytes/EntrySize)
	buf := q.set.readBufs.Get().(*[readBytes]byte)
	defer q.set.readBufs.Put(buf)

	got, err := q.pread(base, buf[:n*EntrySize], (from-base)*EntrySize)
	k := 0
	for int64(k) < n && (k+1)*EntrySize <= got && err == nil {
		dst[k], err = DecodeEntry(buf[k*EntrySize:], from+int64(k))
		if err == nil {
			k++
		}
	}
	if k > 0 {
		return k, nil
	}
	return 0, q.readError(err, from)
}

// pread reads len(b) bytes at off of the file of base. Fewer without an error
// mean that the file is too short.
func (q *Queue) pread(base int64, b []byte, off int64) (int, error) {
	h, err := q.set.files.acquire(fileKey{q, base})
	if err != nil {
		return 0, err
	}
	defer q.set.files.release(h)
	n, err := h.file.ReadAt(b, off)
	if err == io.EOF {
		err = nil
	}
	return n, err
}

// readError says why slot could not be read. nil err: the file is too short.
func (q *Queue) readError(err error, slot int64) error {
	q.mu.Lock()
	gone := q.checkRead(slot)
	q.mu.Unlock()
	if gone != nil { // closed or trimmed while it was read
		return gone
	}
	base := slot - slot%q.set.fileEntries
	damage := &CorruptionError{Path: q.path(base), Offset: (slot - base) * EntrySize, Err: err}
	switch {
	case err == nil:
		damage.Err = ErrTruncated
		return damage
	case errors.Is(err, fs.ErrNotExist):
		damage.Err = fs.ErrNotExist
		return damage
	case errors.Is(err, ErrChecksum):
		return damage
	default:
		return fmt.Errorf("read %s at offset %d: %w", damage.Path, damage.Offset, err)
	}
}

func (q *Queue) path(base int64) string { return filepath.Join(q.dir, fileName(base)) }

// SearchTime returns the first slot that became due at ms or later, Visible if
// there is none. Deliver times rise with the slots except for small disorder,
// within which the answer is one of the candidates. A slot that cannot be read
// counts as late enough: better to start too early than to skip messages.
func (q *Queue) SearchTime(ms int64) int64 {
	from, to := q.Min(), q.Visible()
	var e [1]Entry
	return from + int64(sort.Search(int(max(to-from, 0)), func(i int) bool {
		n, err := q.Read(from+int64(i), e[:])
		if errors.Is(err, ErrTrimmed) {
			return false
		}
		return err != nil || n == 0 || e[0].DeliverMs >= ms
	}))
}
