package delayindex

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/internal/runfile"
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
	log  *slog.Logger
	now  func() time.Time // when runs are created; tests set it

	flushMu sync.Mutex // held by Flush and Install; taken before mu

	mu          sync.Mutex // guards what follows; never held during I/O
	active      *memtable
	frozen      []*memtable // oldest first
	runs        []*run      // in lane order; replaced, never changed in place
	indexedUpTo int64
	closed      bool
}

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
	sorted, err := sortRuns(runs, indexedUpTo)
	if err != nil {
		return nil, fmt.Errorf("open delay index %s: %w", dir, err)
	}
	if err := runfile.MakeDir(dir); err != nil {
		return nil, fmt.Errorf("open delay index: %w", err)
	}
	x := &Index{dir: dir, opts: opts, log: opts.Logger, now: time.Now, indexedUpTo: indexedUpTo}
	x.active = newMemtable(indexedUpTo)
	if err := x.openRuns(sorted); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	if err := x.deleteOrphans(sorted); err != nil {
		return nil, errors.Join(err, x.Close())
	}
	return x, nil
}

// sortRuns returns runs in lane order after a check that they can belong to one
// index.
func sortRuns(runs []RunInfo, indexedUpTo int64) ([]RunInfo, error) {
	sorted := slices.SortedFunc(slices.Values(runs), func(a, b RunInfo) int {
		return cmp.Compare(a.Start, b.Start)
	})
	for i, ri := range sorted {
		if i > 0 && ri.Start < sorted[i-1].End {
			return nil, fmt.Errorf("registered runs overlap: %+v and %+v", sorted[i-1], ri)
		}
		if ri.Start < 0 || ri.End <= ri.Start || ri.End > indexedUpTo {
			return nil, fmt.Errorf("registered run is out of range [0, %d): %+v", indexedUpTo, ri)
		}
	}
	return sorted, nil
}

// openParallel is how many runs are opened at once: it takes three reads of each, which
// are scattered over a disk that can do many at a time.
const openParallel = 32

// openRuns opens all runs, and on an error those that can be, for Close. The error is
// that of the first one in lane order.
func (x *Index) openRuns(infos []RunInfo) error {
	runs, errs := make([]*run, len(infos)), make([]error, len(infos))
	var g errgroup.Group
	g.SetLimit(openParallel)
	for i, ri := range infos {
		g.Go(func() error {
			runs[i], errs[i] = openRun(x.dir, x.opts.Lane, ri)
			return nil
		})
	}
	_ = g.Wait() // errs has what there is
	for _, r := range runs {
		if r != nil {
			x.runs = append(x.runs, r)
		}
	}
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteOrphans removes what unfinished flushes and drops left behind.
func (x *Index) deleteOrphans(registered []RunInfo) error {
	listed := make(map[string]bool, len(registered))
	for _, ri := range registered {
		listed[runName(ri.Start, ri.End)] = true
	}
	if err := runfile.DeleteUnlisted(x.dir, runSuffix, listed, x.log); err != nil {
		return fmt.Errorf("open delay index: %w", err)
	}
	return nil
}

// Add takes the entries of the lane bytes from where the last Add ended up to
// upTo, in Loc order; there may be none. It copies them and does no I/O. After
// Close it does nothing.
func (x *Index) Add(es []Entry, upTo int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if !x.closed {
		x.active.add(es, upTo)
	}
}

// MemtableLen returns the number of entries in the active memtable.
func (x *Index) MemtableLen() int {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.active.n
}

// MemtableFull reports whether the active memtable should be frozen. Nothing
// bad happens if it is not, but memory grows.
func (x *Index) MemtableFull() bool { return x.MemtableLen() >= x.opts.MemtableEntries }

// MemtableStart returns the lane offset where the active memtable begins.
func (x *Index) MemtableStart() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.active.start
}

// IndexedUpTo returns the lane offset up to which nothing depends on memtables:
// the end of the newest installed range.
func (x *Index) IndexedUpTo() int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.indexedUpTo
}

// Runs returns the installed runs in lane order.
func (x *Index) Runs() []RunInfo {
	x.mu.Lock()
	defer x.mu.Unlock()
	infos := make([]RunInfo, len(x.runs))
	for i, r := range x.runs {
		infos[i] = r.info
	}
	return infos
}

// FileBytes is how much the files of the installed runs take.
func (x *Index) FileBytes() (n int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, r := range x.runs {
		n += r.size
	}
	return n
}

// RunBytes is the size of the file of an installed run; 0 when there is none.
func (x *Index) RunBytes(ri RunInfo) int64 {
	x.mu.Lock()
	defer x.mu.Unlock()
	if i := x.find(ri.Start, ri.End); i >= 0 {
		return x.runs[i].size
	}
	return 0
}

// Close waits for a flush under way and closes the files; those that snapshots
// use are closed when they are released. Memtables are forgotten.
func (x *Index) Close() error {
	x.flushMu.Lock()
	defer x.flushMu.Unlock()
	x.mu.Lock()
	if x.closed {
		x.mu.Unlock()
		return nil
	}
	x.closed = true
	runs, memtables := x.runs, append(x.frozen, x.active)
	x.runs, x.frozen, x.active = nil, nil, newMemtable(x.active.end)
	x.mu.Unlock()

	for _, m := range memtables {
		m.release()
	}
	var errs []error
	for _, r := range runs {
		errs = append(errs, r.f.Release())
	}
	return errors.Join(errs...)
}

// releaseRun gives up a snapshot's reference. There is nobody to hand an error
// to, and nothing depends on it.
func (x *Index) releaseRun(r *run) {
	if err := r.f.Release(); err != nil {
		x.log.Warn("close run", "path", r.path, "error", err)
	}
}
