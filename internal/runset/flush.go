package runset

import (
	"errors"
	"slices"
)

// Flush hands the oldest frozen memtable, which nothing changes or takes away
// meanwhile, to write, which makes a durable file of it. The memtable stays until
// Install, so what failed is simply done again.
func (s *Set[I, M, R]) Flush(write func(M) error) error {
	s.flushMu.Lock()
	defer s.flushMu.Unlock()
	m, err := s.oldest()
	if err != nil {
		return err
	}
	return write(m)
}

func (s *Set[I, M, R]) oldest() (m M, err error) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	switch {
	case s.Closed:
		return m, ErrClosed
	case len(s.Frozen) == 0:
		return m, ErrNothingFrozen
	}
	return s.Frozen[0], nil
}

// Install replaces the oldest frozen memtable by the run that was written of it, or
// by nothing, in one step. After an error nothing has changed.
func (s *Set[I, M, R]) Install(ri I, wrote bool) error {
	s.flushMu.Lock() // the oldest stays the oldest: Close takes it too
	defer s.flushMu.Unlock()
	m, err := s.oldest()
	if errors.Is(err, ErrClosed) {
		return err
	}
	if err != nil || !s.covers(m, ri) {
		return s.unknown("install what is not the oldest frozen memtable as", ri)
	}
	fresh, err := s.OpenWritten(ri, wrote)
	if err != nil {
		return err
	}
	s.replaceOldest(fresh).Release()
	return nil
}

// OpenWritten opens a run of which a file was written; of others there is nothing.
func (s *Set[I, M, R]) OpenWritten(ri I, wrote bool) ([]R, error) {
	if !wrote {
		return nil, nil
	}
	r, err := s.opts.OpenRun(ri)
	if err != nil {
		return nil, err
	}
	return []R{r}, nil
}

// covers reports whether m, which is frozen, has the range of ri.
func (s *Set[I, M, R]) covers(m M, ri I) bool {
	start, end := m.Range()
	from, to := s.opts.Range(ri)
	return start == from && end == to
}

func (s *Set[I, M, R]) replaceOldest(fresh []R) M {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	m := s.Frozen[0]
	s.Frozen = slices.Delete(s.Frozen, 0, 1)
	s.Runs = slices.Concat(s.Runs, fresh)
	_, s.IndexedUpTo = m.Range()
	return m
}

// Swap puts fresh runs, whose references it takes, in the place of installed ones,
// which it returns with theirs: the owner has registered the ones and unregistered
// the others. After an error nothing has changed.
func (s *Set[I, M, R]) Swap(olds []I, fresh []R) (gone []R, err error) {
	s.Mu.Lock()
	defer s.Mu.Unlock()
	if s.Closed {
		return nil, ErrClosed
	}
	out := make(map[int]bool, len(olds))
	for _, ri := range olds {
		i := s.Find(ri)
		if i < 0 {
			return nil, s.unknown("replace", ri)
		}
		out[i] = true
		gone = append(gone, s.Runs[i])
	}
	next := make([]R, 0, len(s.Runs)+len(fresh))
	for i, r := range s.Runs {
		if !out[i] {
			next = append(next, r)
		}
	}
	s.Runs = append(next, fresh...)
	slices.SortFunc(s.Runs, func(a, b R) int { return s.compare(a.Info(), b.Info()) })
	return gone, nil
}

// Drop gives up runs that Swap returned; their files are unlinked with their last
// readers.
func Drop[I any, R Run[I]](gone []R) error {
	var errs []error
	for _, r := range gone {
		errs = append(errs, r.File().Drop())
	}
	return errors.Join(errs...)
}
