package consumequeue

import (
	"sync"
)

const (
	chunkEntries = 128 // 4 KiB
	chunkShift   = 7

	// slotPut is set in memory, never on disk, in the flags of a slot that has
	// been put.
	slotPut uint16 = 1 << 15
)

type chunk [chunkEntries]Entry

// tail is the part of a queue that is in memory: all slots from start on. It
// allocates chunk by chunk as slots are put, so a far slot costs a pointer per
// chunk in between. Guarded by Queue.mu, except that an entry that readers may
// see does not change any more.
type tail struct {
	start  int64    // first slot held
	first  int64    // number of chunks[0]; chunk c holds slots from c*chunkEntries on
	chunks []*chunk // nil where nothing was put yet
	pool   *sync.Pool
}

func newTail(start int64, pool *sync.Pool) tail {
	return tail{start: start, first: start >> chunkShift, pool: pool}
}

// put fills a slot that is not below start.
func (t *tail) put(slot int64, e *Entry) {
	i := slot>>chunkShift - t.first
	for int64(len(t.chunks)) <= i {
		t.chunks = append(t.chunks, nil)
	}
	if t.chunks[i] == nil {
		t.chunks[i] = t.pool.Get().(*chunk)
	}
	c := &t.chunks[i][slot&(chunkEntries-1)]
	*c = *e
	c.Flags = e.Flags&knownFlags | slotPut
}

// at returns the entry of a slot that has been put, else nil.
func (t *tail) at(slot int64) *Entry {
	i := slot>>chunkShift - t.first
	if slot < t.start || i >= int64(len(t.chunks)) || t.chunks[i] == nil {
		return nil
	}
	c := &t.chunks[i][slot&(chunkEntries-1)]
	if c.Flags&slotPut == 0 {
		return nil
	}
	return c
}

// run returns the entries from slot to the end of its chunk. The slot must have
// been put.
func (t *tail) run(slot int64) []Entry {
	return t.chunks[slot>>chunkShift-t.first][slot&(chunkEntries-1):]
}

// copyTo copies the entries from slot on, all of which must have been put.
func (t *tail) copyTo(dst []Entry, slot int64) {
	for len(dst) > 0 {
		n := copy(dst, t.run(slot))
		for i := range dst[:n] {
			dst[i].Flags &^= slotPut
		}
		dst, slot = dst[n:], slot+int64(n)
	}
}

// release lets go of whole chunks below slot.
func (t *tail) release(slot int64) {
	n := min(slot>>chunkShift-t.first, int64(len(t.chunks)))
	if n <= 0 {
		return
	}
	for i, c := range t.chunks[:n] {
		if c != nil {
			*c = chunk{}
			t.pool.Put(c)
		}
		t.chunks[i] = nil
	}
	t.chunks = t.chunks[n:]
	t.first += n
	t.start = max(t.start, t.first<<chunkShift)
}
