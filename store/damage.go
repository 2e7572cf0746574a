package store

import (
	"errors"
	"fmt"
	"path/filepath"
	"strconv"

	"github.com/duelog/duelog/delayindex"
)

// indexFailed stops the store for an error of the delay index. When a run turns
// out to be damaged it is unregistered first, so that the next Open rebuilds it
// from the commit log, which has all that it had.
func (s *Store) indexFailed(err error) {
	if gaveUp, gerr := s.giveUpDamaged(err); gerr != nil {
		err = errors.Join(err, gerr)
	} else if gaveUp {
		err = fmt.Errorf("%w; the next start rebuilds it from the commit log", err)
	}
	s.fail(err)
}

// giveUpDamaged unregisters the run that err is about, and those behind it. It
// reports whether there was one.
func (s *Store) giveUpDamaged(err error) (bool, error) {
	var bad *delayindex.CorruptionError
	if s.catalog == nil || !errors.As(err, &bad) {
		return false, nil
	}
	id, perr := strconv.Atoi(filepath.Base(filepath.Dir(bad.Path)))
	if perr == nil && id == coldLane {
		var e edit
		e.runGone(coldLane, bad.Run) // Open rebuilds what the cold files have and no run does
		gerr := s.catalog.commit(e)
		return gerr == nil, gerr
	}
	if perr != nil || id < 0 || id >= laneCount || s.lanes[id] == nil {
		return false, nil
	}
	var runs []delayindex.RunInfo
	s.catalog.view(func(st *catalogState) { runs = append(runs, st.runs[uint8(id)]...) })
	_, gerr := s.giveUpRuns(s.lanes[id], runs, bad.Run.Start)
	return gerr == nil, gerr
}

// openIndex opens the runs of a lane and returns up to where they reach. A
// damaged run is given up, with those behind it: the log has what they had, and
// the scan that follows brings it back.
func (r *recovery) openIndex(l *lane) (indexed int64, err error) {
	runs, indexed := r.st.runs[l.id], r.st.indexed[l.id]
	dir := filepath.Join(r.s.dir, indexDir, strconv.Itoa(int(l.id)))
	o := &delayindex.Options{Lane: l.id, MemtableEntries: r.s.opts.MemtableEntries, Logger: r.s.log}
	for {
		l.index, err = delayindex.Open(dir, runs, indexed, o)
		var bad *delayindex.CorruptionError
		if !errors.As(err, &bad) {
			return indexed, err
		}
		r.s.log.Error("delay index run is damaged; it is rebuilt from the commit log", "error", err)
		if runs, err = r.s.giveUpRuns(l, runs, bad.Run.Start); err != nil {
			return 0, err
		}
		indexed = bad.Run.Start
	}
}

// giveUpRuns unregisters the runs that begin at start or later and returns the others.
func (s *Store) giveUpRuns(l *lane, runs []delayindex.RunInfo, start int64) ([]delayindex.RunInfo, error) {
	var e edit
	var kept []delayindex.RunInfo
	for _, ri := range runs {
		if ri.Start < start {
			kept = append(kept, ri)
			continue
		}
		e.runGone(l.id, ri)
	}
	e.indexed(l.id, start)
	return kept, s.catalog.commit(e)
}
