package runset

import (
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"sync"

	"github.com/duelog/duelog/internal/runfile"
)

// What the owner of an index branches on.
var (
	// ErrClosed is returned by all that need an open set.
	ErrClosed = errors.New("index is closed")
	// ErrNothingFrozen is returned by Flush when there is no frozen memtable.
	ErrNothingFrozen = errors.New("no frozen memtable to flush")
	// ErrUnknownRun is returned for a range that the set does not hold in the state
	// the call needs.
	ErrUnknownRun = errors.New("unknown run")
)

// Memtable is what a set must know of a memtable.
type Memtable interface {
	// Range is the lane bytes [start, end) that it answers for. Mu is held while
	// it can grow.
	Range() (start, end int64)
	// Release gives up the set's reference.
	Release()
}

// Run is what a set must know of an open run.
type Run[I any] interface {
	Info() I // what the owner registers about it
	File() *runfile.File
}

// Options say what the set is made of; all but Logger and LeaveOut are needed.
type Options[I any, M Memtable, R Run[I]] struct {
	Dir         string                        // of the run files; made if needed
	Suffix      string                        // of their names
	Range       func(ri I) (start, end int64) // lane bytes of a run, which name it
	NewMemtable func(start int64) M           // an empty one, with one reference
	OpenRun     func(ri I) (R, error)         // opens and checks a file, with one reference
	Logger      *slog.Logger                  // hears of deleted files
	LeaveOut    func(error) bool              // says that Open goes on without a run that OpenRun had this error for; nil: never
}

// Set is the memtables and runs of an index. The zero value has none; Open fills it.
type Set[I any, M Memtable, R Run[I]] struct {
	opts Options[I, M, R]

	flushMu sync.Mutex // held by Flush, Install and Close; taken before Mu

	Mu          sync.Mutex // guards what follows; never held during I/O
	Active      M
	Frozen      []M // oldest first
	Runs        []R // in lane order; replaced, never changed in place
	IndexedUpTo int64
	Closed      bool
}

// Freeze puts an active memtable that covers lane bytes to the frozen ones and
// begins a new one; false if it covers none.
func (s *Set[I, M, R]) Freeze() bool {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	start, end := s.Active.Range()
	if s.Closed || start == end {
		return false
	}
	s.Frozen = append(s.Frozen, s.Active)
	s.Active = s.opts.NewMemtable(end)
	return true
}

// Waiting returns the number of frozen memtables.
func (s *Set[I, M, R]) Waiting() int {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return len(s.Frozen)
}

// UpTo returns the lane offset up to which nothing depends on memtables.
func (s *Set[I, M, R]) UpTo() int64 {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	return s.IndexedUpTo
}

// Infos returns the installed runs in lane order.
func (s *Set[I, M, R]) Infos() []I {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	infos := make([]I, len(s.Runs))
	for i, r := range s.Runs {
		infos[i] = r.Info()
	}
	return infos
}

// Acquire returns the runs as they are now, with a reference of each for the
// caller, and shows view, in the same step, the memtables, which are older from left
// to right and all newer than the runs. Of a closed set there is nothing.
func (s *Set[I, M, R]) Acquire(view func(frozen []M, active M)) []R {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if s.Closed {
		return nil
	}
	view(s.Frozen, s.Active)
	for _, r := range s.Runs {
		r.File().Acquire()
	}
	return s.Runs
}

// Release gives up a reader's references. There is nobody to hand an error to, and
// nothing depends on it.
func (s *Set[I, M, R]) Release(runs ...R) {
	for _, r := range runs {
		if err := r.File().Release(); err != nil {
			s.opts.Logger.Warn("close run", "path", r.File().Name(), "error", err)
		}
	}
}

// Find returns the place of an installed run in Runs, -1 when there is no such. Mu
// is held.
func (s *Set[I, M, R]) Find(ri I) int {
	start, end := s.opts.Range(ri)
	return slices.IndexFunc(s.Runs, func(r R) bool {
		from, to := s.opts.Range(r.Info())
		return from == start && to == end
	})
}

// Path is where the file of a run belongs.
func (s *Set[I, M, R]) Path(ri I) string { return filepath.Join(s.opts.Dir, s.name(ri)) }

func (s *Set[I, M, R]) name(ri I) string {
	start, end := s.opts.Range(ri)
	return runfile.Name(start, end, s.opts.Suffix)
}

func (s *Set[I, M, R]) unknown(verb string, ri I) error {
	start, end := s.opts.Range(ri)
	return fmt.Errorf("%s run [%d, %d): %w", verb, start, end, ErrUnknownRun)
}

// Close waits for a flush under way and gives up memtables and runs; what readers
// use is closed when they release it.
func (s *Set[I, M, R]) Close() error {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	s.Mu.Lock()
	if s.Closed {
		s.Mu.Unlock()
		return nil
	}
	s.Closed = true
	runs, memtables := s.Runs, append(s.Frozen, s.Active)
	_, end := s.Active.Range()
	s.Runs, s.Frozen, s.Active = nil, nil, s.opts.NewMemtable(end)
	s.Mu.Unlock()

	for _, m := range memtables {
		m.Release()
	}
	var errs []error
	for _, r := range runs {
		errs = append(errs, r.File().Release())
	}
	return errors.Join(errs...)
}
