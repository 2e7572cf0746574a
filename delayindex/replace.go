package delayindex

import (
	"errors"
	"fmt"
	"slices"

	"github.com/duelog/duelog/internal/runfile"
)

// Replacement is a run that is durable under its name and open, but not part of
// its index before Replace. A replacement without entries has no file.
type Replacement struct {
	Info RunInfo
	run  *run
}

// Bytes is the size of its file.
func (w *Replacement) Bytes() int64 {
	if w.run == nil {
		return 0
	}
	return w.run.size
}

// Discard closes a replacement that will not be used. A file that Rewrite wrote
// stays; Open deletes it, or the next Rewrite of that range writes over it.
func (w *Replacement) Discard() error {
	if w.run == nil {
		return nil
	}
	return w.run.f.Release()
}

// Rewrite writes what it yields, in fire order and at most atMost entries, as a
// run for the lane bytes [start, end). It closes it. Several may run at once, for
// different ranges; the range of an installed run is refused, since that run's
// file has the name. After an error nothing has changed.
func (x *Index) Rewrite(it Iterator, start, end, atMost int64) (*Replacement, error) {
	defer it.Close()
	h := header{RunInfo: RunInfo{Start: start, End: end, Count: atMost}, lane: x.opts.Lane, createdMs: x.now().UnixMilli()}
	if err := x.rangeIsFree(start, end); err != nil {
		return nil, err
	}
	path := x.set.Path(h.RunInfo)
	if err := writeRun(path, &h, it); err != nil {
		return nil, err
	}
	if h.Count == 0 {
		return &Replacement{Info: h.RunInfo}, nil
	}
	if err := runfile.Publish(path); err != nil {
		return nil, err
	}
	return x.openReplacement(h.RunInfo)
}

func (x *Index) openReplacement(ri RunInfo) (*Replacement, error) {
	r, err := openRun(x.dir, x.opts.Lane, ri)
	if err != nil {
		return nil, err
	}
	return &Replacement{Info: ri, run: r}, nil
}

func (x *Index) rangeIsFree(start, end int64) error {
	x.set.Mu.Lock()
	defer x.set.Mu.Unlock()
	if x.set.Closed {
		return ErrClosed
	}
	if end <= start || start < 0 || x.set.Find(RunInfo{Start: start, End: end}) >= 0 {
		return fmt.Errorf("rewrite runs as [%d, %d): %w: the range is empty or taken", start, end, ErrUnknownRun)
	}
	return nil
}

// Cut opens an installed run without the entries that fire at ms or later, to
// replace it by. The file is the same.
func (x *Index) Cut(ri RunInfo, ms int64) (*Replacement, error) {
	ri.CutMs = ms
	return x.openReplacement(ri)
}

// Replace swaps installed runs, which the owner has durably unregistered, for
// others, which it has registered, in one step and without I/O: a snapshot sees
// the entries of the ones or of the others. The returned function, to be called
// once and outside of locks, lets go of the old runs; their files are unlinked
// with the last snapshot that uses them. After an error nothing has changed, and
// the replacements are still the caller's.
func (x *Index) Replace(olds []RunInfo, news []*Replacement) (done func() error, err error) {
	in := make([]*run, 0, len(news))
	for _, w := range news {
		if w.run != nil {
			in = append(in, w.run)
		}
	}
	out, err := x.set.Swap(olds, in)
	if err != nil {
		return nil, err
	}
	return func() error { return letGo(out, in) }, nil
}

// letGo releases the runs that were replaced. Where the successor is the same
// file it stays.
func letGo(out, in []*run) error {
	var errs []error
	for _, r := range out {
		kept := slices.ContainsFunc(in, func(n *run) bool { return n.path == r.path })
		if kept {
			errs = append(errs, r.f.Release())
		} else {
			errs = append(errs, r.f.Drop())
		}
	}
	return errors.Join(errs...)
}
