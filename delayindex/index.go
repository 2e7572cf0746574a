package delayindex

import (
	"cmp"
	"fmt"
	"log/slog"
	"time"

	"github.com/duelog/duelog/internal/runset"
)

const defaultMemtableEntries = 2 << 20

// Options configure an Index. The zero value is usable.
type Options struct {
	// Lane is written into the runs and checked when they are opened.
	Lane uint8
	// MemtableEntries is when MemtableFull says so; 0 means 2 Mi entries (64 MiB).
	MemtableEntries int
	// Logger hears of deleted files; nil discards.
	Logger *slog.Logger
}

// withDefaults returns a copy of o, which may be nil, with every field set.
func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if out.MemtableEntries < 0 {
		return out, fmt.Errorf("delay index: MemtableEntries is negative (%d)", out.MemtableEntries)
	}
	out.MemtableEntries = cmp.Or(out.MemtableEntries, defaultMemtableEntries)
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out, nil
}

// Index is the delay index of one lane. See the package comment for who may
// call what.
type Index struct {
	dir  string
	opts Options
	now  func() time.Time // when runs are created; tests set it
	set  set
}

type set = runset.Set[RunInfo, *memtable, *run]

// Open opens the index in dir (made if needed) with the registered runs, which
// together with those that were dropped cover the lane up to indexedUpTo. The
// caller then adds what the lane holds from there on. Files that are not
// registered are deleted, but only if all registered ones are good.
//
// A registered run that is damaged or missing gives a *CorruptionError for the
// first such run in lane order, one from a newer release a *VersionError.
func Open(dir string, runs []RunInfo, indexedUpTo int64, o *Options) (*Index, error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	x := &Index{dir: dir, opts: opts, now: time.Now}
	err = x.set.Open(runs, indexedUpTo, runset.Options[RunInfo, *memtable, *run]{
		Dir:         dir,
		Suffix:      runSuffix,
		Range:       func(ri RunInfo) (start, end int64) { return ri.Start, ri.End },
		NewMemtable: newMemtable,
		OpenRun:     func(ri RunInfo) (*run, error) { return openRun(dir, opts.Lane, ri) },
		Logger:      opts.Logger,
	})
	if err != nil {
		return nil, fmt.Errorf("open delay index %s: %w", dir, err)
	}
	return x, nil
}

// Add takes the entries of the lane bytes from where the last Add ended up to
// upTo, in Loc order; there may be none. It copies them and does no I/O. After
// Close it does nothing.
func (x *Index) Add(es []Entry, upTo int64) {
	x.set.Mu.Lock()
	defer x.set.Mu.Unlock()
	if !x.set.Closed {
		x.set.Active.add(es, upTo)
	}
}

// MemtableLen returns the number of entries in the active memtable.
func (x *Index) MemtableLen() int {
	x.set.Mu.Lock()
	defer x.set.Mu.Unlock()
	return x.set.Active.n
}

// MemtableFull reports whether the active memtable should be frozen. Nothing
// bad happens if it is not, but memory grows.
func (x *Index) MemtableFull() bool { return x.MemtableLen() >= x.opts.MemtableEntries }

// MemtableStart returns the lane offset where the active memtable begins.
func (x *Index) MemtableStart() int64 {
	x.set.Mu.Lock()
	defer x.set.Mu.Unlock()
	return x.set.Active.start
}

// IndexedUpTo returns the lane offset up to which nothing depends on memtables:
// the end of the newest installed range.
func (x *Index) IndexedUpTo() int64 { return x.set.UpTo() }

// Runs returns the installed runs in lane order.
func (x *Index) Runs() []RunInfo { return x.set.Infos() }

// FileBytes is how much the files of the installed runs take.
func (x *Index) FileBytes() (n int64) {
	x.set.Mu.Lock()
	defer x.set.Mu.Unlock()
	for _, r := range x.set.Runs {
		n += r.size
	}
	return n
}

// RunBytes is the size of the file of an installed run; 0 when there is none.
func (x *Index) RunBytes(ri RunInfo) int64 {
	x.set.Mu.Lock()
	defer x.set.Mu.Unlock()
	if i := x.set.Find(ri); i >= 0 {
		return x.set.Runs[i].size
	}
	return 0
}

// Close waits for a flush under way and closes the files; those that snapshots
// use are closed when they are released. Memtables are forgotten.
func (x *Index) Close() error { return x.set.Close() }
