package keyindex

import (
	"errors"
	"fmt"

	"github.com/duelog/duelog/internal/durable"
	"github.com/duelog/duelog/internal/runfile"
)

// Builder writes runs of lane bytes that nobody knows yet, for an owner who copies
// messages to there and makes all of them known at once. Of the entries it has
// Options.MemtableEntries in memory at most, and the same again while it sorts
// them; more of them become several runs. It belongs to one goroutine.
type Builder struct {
	x       *Index
	start   int64   // of the lane bytes of entries
	entries []Entry // not in a run yet
	scratch []Entry
	runs    []*run // durable, in lane order
}

// NewBuilder returns a builder of the lane bytes from start on. The index must have
// nothing of them, nor of what lies behind.
func (x *Index) NewBuilder(start int64) *Builder { return &Builder{x: x, start: start} }

// Add takes the entries of the message at lane offset at, which is behind that of the
// last Add.
func (b *Builder) Add(es []Entry, at int64) error {
	if n := len(b.entries); n > 0 && n+len(es) > b.x.opts.MemtableEntries {
		if err := b.write(at); err != nil {
			return err
		}
	}
	b.entries = append(b.entries, es...)
	return nil
}

// Finish writes what is left, and returns all runs: they are durable. They reach up to
// end, the last of them itself if there is any entry.
func (b *Builder) Finish(end int64) ([]RunInfo, error) {
	err := b.write(end)
	b.entries, b.scratch = nil, nil
	infos := make([]RunInfo, len(b.runs))
	for i, r := range b.runs {
		infos[i] = r.info
	}
	return infos, err
}

// write makes a run of what is in memory that stands for the lane bytes up to end.
func (b *Builder) write(end int64) error {
	n := len(b.entries)
	if n == 0 {
		return nil
	}
	if len(b.scratch) < n {
		b.scratch = make([]Entry, n)
	}
	src := sorted(sortEntries(b.entries, b.scratch[:n], 0))
	h := header{RunInfo: RunInfo{Start: b.start, End: end}, lane: b.x.opts.Lane, createdMs: b.x.now().UnixMilli()}
	path := b.x.set.Path(h.RunInfo)
	if err := writeRun(path, &h, &src, RunInfo{Count: int64(n)}.Bytes()); err != nil {
		_, _ = durable.Remove(path), durable.Remove(path+runfile.TmpSuffix) // that of them which is there
		return err
	}
	r, err := openRun(b.x.dir, b.x.opts.Lane, h.RunInfo)
	if err != nil {
		return err
	}
	b.runs = append(b.runs, r)
	b.start, b.entries = end, b.entries[:0]
	return nil
}

// Discard unlinks the runs, which are not registered.
func (b *Builder) Discard() error { return b.end((*runfile.File).Drop) }

// Close closes the runs, of which it is not known whether they are registered: the next
// Open knows.
func (b *Builder) Close() error { return b.end((*runfile.File).Release) }

func (b *Builder) end(done func(*runfile.File) error) error {
	var errs []error
	for _, r := range b.runs {
		errs = append(errs, done(r.f))
	}
	b.entries, b.scratch, b.runs = nil, nil, nil
	return errors.Join(errs...)
}

// Insert shows the runs of b, which the owner has durably registered with an index that
// reaches up to end. It does no I/O. The builder is used up. After an error nothing has
// changed.
func (x *Index) Insert(b *Builder, end int64) error {
	x.set.Mu.Lock()
	defer x.set.Mu.Unlock()
	switch {
	case x.set.Closed:
		return ErrClosed
	case len(x.set.Frozen) > 0 || x.set.Active.n > 0 || x.set.Active.end > x.set.Active.start:
		return fmt.Errorf("insert key runs up to %d: a memtable is not in a run yet", end)
	case len(b.runs) > 0 && b.runs[0].info.Start < x.set.IndexedUpTo:
		return fmt.Errorf("insert key runs from %d on: the index reaches up to %d", b.runs[0].info.Start, x.set.IndexedUpTo)
	}
	runs := x.set.Runs[:len(x.set.Runs):len(x.set.Runs)]
	x.set.Runs, b.runs = append(runs, b.runs...), nil
	x.set.IndexedUpTo = max(x.set.IndexedUpTo, end)
	x.set.Active.start, x.set.Active.end = x.set.IndexedUpTo, x.set.IndexedUpTo
	return nil
}

// sorted is a source of entries that are in order.
type sorted []Entry

func (s *sorted) next(dst []Entry) (int, error) {
	n := copy(dst, *s)
	*s = (*s)[n:]
	return n, nil
}
