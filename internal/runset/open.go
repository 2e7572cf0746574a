package runset

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/internal/durable"
	"github.com/duelog/duelog/internal/runfile"
)

// Open opens the registered runs, which together with those that were dropped cover
// the lane up to indexedUpTo, and then deletes the files that are not registered.
// After an error, which is that of the first bad run in lane order, none is deleted.
func (s *Set[I, M, R]) Open(infos []I, indexedUpTo int64, o Options[I, M, R]) error {
	s.opts, s.IndexedUpTo, s.Active = o, indexedUpTo, o.NewMemtable(indexedUpTo)
	sorted, err := s.inOrder(infos)
	if err != nil {
		return err
	}
	if err := durable.MakeDir(o.Dir); err != nil {
		return err
	}
	err = s.openRuns(sorted)
	if err == nil {
		err = s.deleteUnlisted(sorted)
	}
	if err != nil {
		return errors.Join(err, s.Close())
	}
	return nil
}

// inOrder returns infos in lane order after a check that they can belong to one
// index.
func (s *Set[I, M, R]) inOrder(infos []I) ([]I, error) {
	sorted := slices.SortedFunc(slices.Values(infos), s.compare)
	last := int64(0)
	for i, ri := range sorted {
		start, end := s.opts.Range(ri)
		if i > 0 && start < last {
			return nil, fmt.Errorf("registered runs overlap: %+v and %+v", sorted[i-1], ri)
		}
		if start < 0 || end <= start || end > s.IndexedUpTo {
			return nil, fmt.Errorf("registered run is out of range [0, %d): %+v", s.IndexedUpTo, ri)
		}
		last = end
	}
	return sorted, nil
}

func (s *Set[I, M, R]) compare(a, b I) int {
	x, _ := s.opts.Range(a)
	y, _ := s.opts.Range(b)
	return cmp.Compare(x, y)
}

// openParallel is how many runs are opened at once: it takes a few reads of each, which
// are scattered over a disk that can do many at a time.
const openParallel = 32

// openRuns opens all runs, and on an error those that can be, for Close.
func (s *Set[I, M, R]) openRuns(infos []I) (err error) {
	runs, errs := make([]R, len(infos)), make([]error, len(infos))
	var g errgroup.Group
	g.SetLimit(openParallel)
	for i, ri := range infos {
		g.Go(func() error {
			runs[i], errs[i] = s.opts.OpenRun(ri)
			return nil
		})
	}
	_ = g.Wait() // errs has what there is
	for i, bad := range errs {
		switch {
		case bad == nil:
			s.Runs = append(s.Runs, runs[i])
		case err == nil && (s.opts.LeaveOut == nil || !s.opts.LeaveOut(bad)):
			err = bad
		}
	}
	return err
}

// deleteUnlisted removes what unfinished flushes, merges and drops left behind.
func (s *Set[I, M, R]) deleteUnlisted(registered []I) error {
	listed := make(map[string]bool, len(registered))
	for _, ri := range registered {
		listed[s.name(ri)] = true
	}
	return runfile.DeleteUnlisted(s.opts.Dir, s.opts.Suffix, listed, s.opts.Logger)
}
