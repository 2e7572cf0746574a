package keyindex

import (
	"fmt"
	"slices"
)

// Freeze makes the active memtable ready to be flushed and begins a new one. It
// is false if the active one covers no lane bytes. It may hold no entries all
// the same: flushing it moves IndexedUpTo.
func (x *Index) Freeze() bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed || x.active.start == x.active.end {
		return false
	}
	x.frozen = append(x.frozen, x.active)
	x.active = newMemtable(x.active.end)
	return true
}

// Frozen returns the number of memtables that wait to be flushed and installed.
func (x *Index) Frozen() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return len(x.frozen)
}

// Flush writes the oldest frozen memtable as a run that is durable when it
// returns. If the memtable has no entries no file is written: wrote is false and
// ri has only the range.
//
// The memtable stays until Install, so a Flush that failed, or whose result was
// not registered, is simply done again. Without a frozen memtable the error is
// ErrNothingFrozen.
func (x *Index) Flush() (ri RunInfo, wrote bool, err error) {
	x.flushMu.Lock()
	defer x.flushMu.Unlock()
	view, err := x.oldestFrozen()
	if err != nil {
		return RunInfo{}, false, err
	}
	defer view.m.release()
	ri = RunInfo{Start: view.m.start, End: view.m.end}
	if view.n == 0 {
		return ri, false, nil
	}
	h := header{RunInfo: ri, lane: x.opts.Lane, createdMs: x.now().UnixMilli()}
	size := RunInfo{Count: int64(view.n)}.Bytes()
	if err := writeRun(x.runPath(ri), &h, newMemSource(&view), size); err != nil {
		return ri, false, err
	}
	return h.RunInfo, true, nil
}

// oldestFrozen returns a view of the memtable to flush next.
func (x *Index) oldestFrozen() (memView, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return memView{}, ErrClosed
	}
	if len(x.frozen) == 0 {
		return memView{}, ErrNothingFrozen
	}
	return x.frozen[0].acquire(), nil
}

// Install replaces the oldest frozen memtable by what Flush returned for it,
// which the owner has registered durably. After an error nothing has changed.
func (x *Index) Install(ri RunInfo, wrote bool) error {
	x.flushMu.Lock()
	defer x.flushMu.Unlock()
	if err := x.isOldest(ri); err != nil {
		return err
	}
	var r *run
	if wrote {
		var err error
		if r, err = openRun(x.dir, x.opts.Lane, ri); err != nil {
			return err
		}
	}
	x.replaceOldest(ri, r).release()
	return nil
}

func (x *Index) isOldest(ri RunInfo) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return ErrClosed
	}
	if len(x.frozen) == 0 || x.frozen[0].start != ri.Start || x.frozen[0].end != ri.End {
		return fmt.Errorf("install key run [%d, %d): %w: not the oldest frozen memtable", ri.Start, ri.End, ErrUnknownRun)
	}
	return nil
}

// replaceOldest swaps the oldest frozen memtable for r (nil: nothing) in one
// step and returns it. flushMu, which Close takes too, keeps it the oldest.
func (x *Index) replaceOldest(ri RunInfo, r *run) *memtable {
	x.mu.Lock()
	defer x.mu.Unlock()
	m := x.frozen[0]
	x.frozen = slices.Delete(x.frozen, 0, 1)
	if r != nil {
		x.runs = append(slices.Clip(x.runs), r)
	}
	x.indexedUpTo = ri.End
	return m
}

// Drop forgets an installed run that the owner has durably unregistered. The
// file is unlinked when the last reader is done with it.
func (x *Index) Drop(ri RunInfo) error { return x.Replace([]RunInfo{ri}, RunInfo{}, false) }
