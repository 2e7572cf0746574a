package commitlog

import (
	"sync/atomic"
	"time"

	"github.com/duelog/duelog/commitlog/segment"
)

const (
	// warmWindow is how much is asked about at once. Who reads one record will read
	// its neighbours next, and the question is a system call.
	warmWindow = 256 << 10
	// warmFor is how long an answer is believed. A page that leaves the memory within
	// it costs a page fault, as it may right after any answer.
	warmFor = 32 * time.Millisecond
	// warmSlots is how many answers are kept.
	warmSlots = 64
)

// warmth remembers which windows of the log the kernel had in memory a moment ago.
// Safe for concurrent use.
type warmth struct {
	slots [warmSlots]atomic.Uint64
}

// An answer in a slot: the page number of the window's start, when it was given,
// and whether all of the window was in memory.
//
//	44 bits page | 19 bits clock in units of warmFor | 1 bit all
//
// The clock comes round every 4.6 hours; an answer that old is as good as any.
const (
	warmClockBits = 19
	warmAll       = 1
)

func warmKey(start int64, now time.Time) uint64 {
	clock := uint64(now.UnixNano()/int64(warmFor)) & (1<<warmClockBits - 1)
	return uint64(start)>>12<<(warmClockBits+1) | clock<<1
}

// resident is File.Resident for n bytes at off, which lie in f, from memory if the
// window around them was asked about a moment ago.
func (w *warmth) resident(f *segment.File, off int64, n int32, now time.Time) bool {
	at := off - f.Base()
	from := at - at%warmWindow
	if at+int64(n) > from+warmWindow {
		return f.Resident(at, n)
	}
	all := w.answer(f.Base()+from, now, func() bool {
		return f.Resident(from, int32(min(warmWindow, f.Size()-from)))
	})
	return all || f.Resident(at, n)
}

// answer returns what is known of the window at start, or asks.
func (w *warmth) answer(start int64, now time.Time, ask func() bool) bool {
	slot := &w.slots[start/warmWindow%warmSlots]
	key := warmKey(start, now)
	if known := slot.Load(); known&^warmAll == key {
		return known&warmAll != 0
	}
	all := ask()
	if all {
		key |= warmAll
	}
	slot.Store(key)
	return all
}
