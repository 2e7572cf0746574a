package delayindex

import (
	"math"

	"github.com/duelog/duelog/internal/runfile"
	"github.com/duelog/duelog/internal/runset"
)

// Freeze makes the active memtable ready to be flushed and begins a new one. It
// is false if the active one covers no lane bytes. It may hold no entries all
// the same: flushing it moves IndexedUpTo.
func (x *Index) Freeze() bool { return x.set.Freeze() }

// Frozen returns the number of memtables that wait to be flushed and installed.
func (x *Index) Frozen() int { return x.set.Waiting() }

// Flush writes the oldest frozen memtable as a run that is durable when it
// returns. Entries for which keep is false are left out (nil keeps all); keep
// must not change or retain the entry. If none is left no file is written:
// wrote is false and ri has only the range.
//
// The memtable stays until Install, so a Flush that failed, or whose result was
// not registered, is simply done again. Without a frozen memtable the error is
// ErrNothingFrozen.
func (x *Index) Flush(keep func(*Entry) bool) (ri RunInfo, wrote bool, err error) {
	err = x.set.Flush(func(m *memtable) error {
		ri, wrote, err = x.flush(m, keep)
		return err
	})
	return ri, wrote, err
}

func (x *Index) flush(m *memtable, keep func(*Entry) bool) (ri RunInfo, wrote bool, err error) {
	view := m.acquire()
	defer view.release()
	order := view.order(0, math.MaxUint64, keep)
	ri = order.info(m)
	if ri.Count == 0 {
		return ri, false, nil
	}
	path := x.set.Path(ri)
	h := header{RunInfo: ri, lane: x.opts.Lane, createdMs: x.now().UnixMilli()}
	if err := writeRun(path, &h, &memIterator{view: &view, order: order, ready: true}); err != nil {
		return ri, false, err
	}
	if err := runfile.Publish(path); err != nil {
		return ri, false, err
	}
	return ri, true, nil
}

// info describes the run that o would become.
func (o *memOrder) info(m *memtable) RunInfo {
	ri := RunInfo{Start: m.start, End: m.end, Count: int64(len(o.keys))}
	if ri.Count > 0 {
		ri.MinFireMs = o.entry(0).FireMs()
		ri.MaxFireMs = o.entry(len(o.keys) - 1).FireMs()
	}
	return ri
}

// Install replaces the oldest frozen memtable by what Flush returned for it,
// which the owner has registered durably. Snapshots taken before keep the
// memtable. After an error nothing has changed.
func (x *Index) Install(ri RunInfo, wrote bool) error { return x.set.Install(ri, wrote) }

// Drop forgets an installed run that the owner has durably unregistered. The
// file is unlinked when the last snapshot that uses it is released.
func (x *Index) Drop(ri RunInfo) error {
	gone, err := x.set.Swap([]RunInfo{ri}, nil)
	if err != nil {
		return err
	}
	return runset.Drop[RunInfo](gone)
}
