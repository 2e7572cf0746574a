package keyindex

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/duelog/duelog/internal/runset"
)

const defaultMemtableEntries = 1 << 20

// Options configure an Index. The zero value is usable.
type Options struct {
	// Lane is written into the runs and checked when they are opened.
	Lane uint8
	// MemtableEntries is when MemtableFull says so; 0 means 1 Mi entries (16 MiB;
	// twice that is needed while they are flushed).
	MemtableEntries int
	// Logger hears of deleted files and of damage; nil discards.
	Logger *slog.Logger
}

// withDefaults returns a copy of o, which may be nil, with every field set.
func (o *Options) withDefaults() (Options, error) {
	var out Options
	if o != nil {
		out = *o
	}
	if out.MemtableEntries < 0 {
		return out, fmt.Errorf("MemtableEntries is negative (%d)", out.MemtableEntries)
	}
	out.MemtableEntries = cmp.Or(out.MemtableEntries, defaultMemtableEntries)
	if out.Logger == nil {
		out.Logger = slog.New(slog.DiscardHandler)
	}
	return out, nil
}

// Index is the key index of one lane. See the package comment for who may call
// what.
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
// registered are deleted.
//
// Registered runs that are damaged or missing are left out and returned: the
// owner unregisters them. One from a newer release fails Open with a *VersionError.
func Open(dir string, runs []RunInfo, indexedUpTo int64, o *Options) (_ *Index, damaged []*CorruptionError, err error) {
	opts, err := o.withDefaults()
	if err != nil {
		return nil, nil, fmt.Errorf("open key index %s: %w", dir, err)
	}
	x := &Index{dir: dir, opts: opts, now: time.Now}
	err = x.set.Open(runs, indexedUpTo, runset.Options[RunInfo, *memtable, *run]{
		Dir:         dir,
		Suffix:      runSuffix,
		Range:       func(ri RunInfo) (start, end int64) { return ri.Start, ri.End },
		NewMemtable: newMemtable,
		OpenRun:     func(ri RunInfo) (*run, error) { return openRun(dir, opts.Lane, ri) },
		Logger:      opts.Logger,
		LeaveOut: func(err error) bool {
			var bad *CorruptionError
			if errors.As(err, &bad) {
				damaged = append(damaged, bad)
			}
			return bad != nil
		},
	})
	if err != nil {
		return nil, nil, fmt.Errorf("open key index %s: %w", dir, err)
	}
	return x, damaged, nil
}

// Add takes the entries of the lane bytes from where the last Add ended up to
// upTo, in the order of arrival; there may be none. It copies them and does no
// I/O. After Close it does nothing.
func (x *Index) Add(es []Entry, upTo int64) {
	x.set.Mu.Lock()
	defer x.set.Mu.Unlock()
	if !x.set.Closed {
		x.set.Active.add(es, upTo)
	}
}

// MemtableFull reports whether the active memtable should be frozen. Nothing
// bad happens if it is not, but memory grows.
func (x *Index) MemtableFull() bool {
	x.set.Mu.Lock()
	defer x.set.Mu.Unlock()
	return x.set.Active.n >= x.opts.MemtableEntries
}

// IndexedUpTo returns the lane offset up to which nothing depends on memtables:
// the end of the newest installed range.
func (x *Index) IndexedUpTo() int64 { return x.set.UpTo() }

// Runs returns the installed runs in lane order.
func (x *Index) Runs() []RunInfo { return x.set.Infos() }

// InMemory returns the number of entries that are not in a run.
func (x *Index) InMemory() int64 {
	x.set.Mu.Lock()
	defer x.set.Mu.Unlock()
	n := x.set.Active.n
	for _, m := range x.set.Frozen {
		n += m.n
	}
	return int64(n)
}

// Close waits for a flush under way and closes the files; those that are being
// read are closed by their last reader. Memtables are forgotten.
func (x *Index) Close() error { return x.set.Close() }
