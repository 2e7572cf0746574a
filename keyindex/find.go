package keyindex

import "errors"

// Find calls visit with the locations that were added with hash, newest first,
// each once, until it returns false. What visit does may take its time: no lock is
// held. A message that was added before Find is found, whatever is flushed,
// merged or dropped meanwhile.
//
// A damaged block is passed over, and so is the rest of its run; the first is
// returned as a *CorruptionError after everything else was visited.
func (x *Index) Find(hash uint64, visit func(loc uint64) bool) error {
	r := x.reader()
	defer r.release()
	return r.find(hash, distinct(visit))
}

// distinct leaves out a location that repeats the one before it, as that of a
// message with the same key twice does.
func distinct(visit func(loc uint64) bool) func(uint64) bool {
	last, any := uint64(0), false
	return func(loc uint64) bool {
		if any && loc == last {
			return true
		}
		last, any = loc, true
		return visit(loc)
	}
}

// reader is a fixed view of an index: what was added before it.
type reader struct {
	x     *Index
	views []memView // oldest first
	runs  []*run    // oldest first
}

func (x *Index) reader() *reader {
	r := &reader{x: x}
	r.runs = x.set.Acquire(func(frozen []*memtable, active *memtable) {
		r.views = make([]memView, 0, len(frozen)+1)
		for _, m := range frozen {
			r.views = append(r.views, m.acquire())
		}
		r.views = append(r.views, active.acquire())
	})
	return r
}

func (r *reader) release() {
	for i := range r.views {
		r.views[i].m.Release()
	}
	r.x.set.Release(r.runs...)
}

func (r *reader) find(hash uint64, visit func(loc uint64) bool) error {
	for i := len(r.views) - 1; i >= 0; i-- {
		if !r.views[i].find(hash, visit) {
			return nil
		}
	}
	var bad error
	for i := len(r.runs) - 1; i >= 0; i-- {
		more, err := r.runs[i].find(hash, visit)
		var damage *CorruptionError
		switch {
		case err != nil && !errors.As(err, &damage):
			return err
		case err != nil && bad == nil:
			bad = err
		}
		if !more {
			break
		}
	}
	return bad
}
