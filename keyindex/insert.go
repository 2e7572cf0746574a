package keyindex

import (
	"cmp"
	"fmt"
	"slices"
)

// Write makes a run of entries that do not come through the memtables, for the
// lane bytes [start, end), of which no other run has any. It sorts es in place and
// needs as much memory again. Like what Flush returns the run is durable, and nobody
// refers to it; if there are no entries no file is written.
func (x *Index) Write(es []Entry, start, end int64) (ri RunInfo, wrote bool, err error) {
	ri = RunInfo{Start: start, End: end}
	if len(es) == 0 {
		return ri, false, nil
	}
	h := header{RunInfo: ri, lane: x.opts.Lane, createdMs: x.now().UnixMilli()}
	sorted := sortEntries(es, make([]Entry, len(es)))
	if err := writeRun(x.runPath(ri), &h, &sliceSource{rest: sorted}, RunInfo{Count: int64(len(es))}.Bytes()); err != nil {
		return ri, false, err
	}
	return h.RunInfo, true, nil
}

// Insert adds a run that Write has made and the owner has registered durably.
func (x *Index) Insert(ri RunInfo) error {
	r, err := openRun(x.dir, x.opts.Lane, ri)
	if err != nil {
		return err
	}
	if err := x.insert(r); err != nil {
		x.releaseRun(r)
		return err
	}
	return nil
}

func (x *Index) insert(r *run) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.closed {
		return ErrClosed
	}
	at, found := slices.BinarySearchFunc(x.runs, r.info.Start, func(o *run, start int64) int { return cmp.Compare(o.info.Start, start) })
	if found || at > 0 && x.runs[at-1].info.End > r.info.Start || at < len(x.runs) && x.runs[at].info.Start < r.info.End {
		return fmt.Errorf("insert key run [%d, %d): it overlaps another one", r.info.Start, r.info.End)
	}
	x.runs = slices.Insert(slices.Clone(x.runs), at, r)
	x.indexedUpTo = max(x.indexedUpTo, r.info.End)
	return nil
}
