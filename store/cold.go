package store

import (
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/internal/durable"
)

// coldStore is lane 16: the messages of evacuated segments, in cold files, and
// their delay index. A file has the base of the segment it came from and stays
// within that segment's range of offsets, here of lane 16.
//
// Each file of which something has not fired is covered by a run. Open relies on
// it the other way round: a file without a run gets one, made of its own records.
type coldStore struct {
	files *cold.Set
	index *delayindex.Index
	lane  *lane // for the key index

	// moving is the base of the segment of which a move is registered, but not shown; -1
	// at other times.
	moving atomic.Int64
}

func (c *coldStore) close() error {
	if c == nil {
		return nil
	}
	var errs []error
	if c.lane.keys != nil {
		errs = append(errs, c.lane.keys.Close())
	}
	if c.index != nil {
		errs = append(errs, c.index.Close())
	}
	if c.files != nil {
		errs = append(errs, c.files.Close())
	}
	return errors.Join(errs...)
}

// keepFor lets what holds the message at loc, of size bytes, live as if it had fired at ms.
func (s *Store) keepFor(loc commitlog.Loc, size uint32, ms int64) {
	if loc.Lane() == coldLane {
		s.cold.files.KeepFor(loc.Offset(), ms)
		return
	}
	s.lanes[loc.Lane()].keepFor(loc, size, ms)
}

// closedError makes the closing of the cold files the store's own.
func closedError(err error) error {
	if errors.Is(err, commitlog.ErrClosed) {
		return ErrClosed
	}
	return err
}

// addCold keeps the figures of cold files that changed: how long late messages live.
func (s *Store) addCold(e *edit) {
	infos := s.cold.files.Infos()
	s.catalog.view(func(st *catalogState) {
		for _, info := range infos {
			if st.cold[info.Base] != info {
				e.cold(info)
			}
		}
	})
}

// retainCold gives back what is past its retention in the cold files (I4). What
// the durable mark covers is not read by recovery any more, whatever run refers
// to it. It is called with checkpointMu held.
func (s *Store) retainCold(now int64) error {
	var firedMs int64
	s.catalog.view(func(st *catalogState) { firedMs = st.mark.firedMs })
	// A slot counts from when its message really fired, and somebody may be reading yet.
	dead := now - s.opts.ScheduledRetention.Milliseconds() - lateSlack - retentionEvery.Milliseconds()
	infos := s.cold.files.Dying(min(dead, firedMs))
	if len(infos) == 0 {
		return nil
	}
	var e edit
	for _, info := range infos {
		if info.DeadTo == info.Size {
			e.coldGone(info.Base)
		} else {
			e.cold(info)
		}
	}
	if err := s.catalog.commit(e); err != nil {
		return err
	}
	// What is not given back now is with the next hole, or by the next start.
	if err := s.cold.files.Release(infos); err != nil {
		s.log.Warn("space of dead cold messages is not given back yet", "error", err)
	}
	return nil
}

// openCold opens the cold files and their index.
func (r *recovery) openCold() error {
	s := r.s
	s.cold = &coldStore{lane: &lane{s: s, id: coldLane, segmentSize: s.opts.DelaySegmentSize}}
	s.cold.moving.Store(-1)
	var err error
	lane := strconv.Itoa(coldLane)
	s.cold.files, err = cold.Open(filepath.Join(s.dir, logDir, lane), r.st.coldFiles(), cold.Options{
		Lane: coldLane, SegmentSize: s.opts.DelaySegmentSize, CacheBytes: s.opts.ColdCacheBytes, BlockBytes: s.opts.coldBlock, Raw: s.opts.coldRaw, Logger: s.log,
	})
	if err != nil {
		return err
	}
	if err := r.openColdIndex(filepath.Join(s.dir, indexDir, lane)); err != nil {
		return err
	}
	if err := r.rebuildColdRuns(); err != nil {
		return err
	}
	return r.openColdKeys()
}

// openColdIndex opens the runs; damaged ones are unregistered.
func (r *recovery) openColdIndex(dir string) error {
	o := &delayindex.Options{Lane: coldLane, Logger: r.s.log}
	for {
		runs, upTo := r.st.runs[coldLane], int64(0)
		for _, ri := range runs {
			upTo = max(upTo, ri.End)
		}
		var err error
		r.s.cold.index, err = delayindex.Open(dir, runs, upTo, o)
		var bad *delayindex.CorruptionError
		if !errors.As(err, &bad) {
			return err
		}
		r.s.log.Error("delay index run is damaged; it is rebuilt from the cold files", "error", err)
		var e edit
		e.runGone(coldLane, bad.Run)
		if err := r.s.catalog.commit(e); err != nil {
			return err
		}
	}
}

// rebuildColdRuns makes a run for each cold file that has none and still needs it.
func (r *recovery) rebuildColdRuns() error {
	for _, info := range r.st.coldFiles() {
		if info.MaxFireMs <= r.st.mark.firedMs || r.coldRunCovers(info.Base) {
			continue
		}
		if err := r.rebuildColdRun(info); err != nil {
			return fmt.Errorf("rebuild delay index run of cold file %d: %w", info.Base, err)
		}
	}
	return nil
}

func (r *recovery) coldRunCovers(base int64) bool {
	for _, ri := range r.st.runs[coldLane] {
		if ri.Start <= base && base < ri.End {
			return true
		}
	}
	return false
}

func (r *recovery) rebuildColdRun(info cold.Info) error {
	s := r.s
	it := newColdIterator(s, info.Base, r.st.mark)
	w, err := s.cold.index.Rewrite(it, info.Base, info.Base+s.opts.DelaySegmentSize, info.Records)
	if err != nil || w.Info.Count == 0 {
		return err
	}
	var e edit
	e.run(coldLane, w.Info)
	if err := s.catalog.commit(e); err != nil {
		return errors.Join(err, w.Discard())
	}
	done, err := s.cold.index.Replace(nil, []*delayindex.Replacement{w})
	if err != nil {
		return errors.Join(err, w.Discard())
	}
	return done()
}

// dropMoved deletes the files of segments whose evacuation was committed, but
// which a crash kept from being recycled: the log would adopt them.
func (r *recovery) dropMoved(dir string) error {
	for base := range r.st.cold {
		if _, registered := r.st.segments[farLane][base]; registered {
			continue
		}
		path := filepath.Join(dir, fmt.Sprintf("%020d", base))
		switch err := durable.Remove(path); {
		case err == nil:
			r.s.log.Info("deleted segment whose messages have moved", "path", path)
		case !errors.Is(err, os.ErrNotExist):
			return fmt.Errorf("delete segment whose messages have moved: %w", err)
		}
	}
	return nil
}

// skipMoved keeps the log from using offsets of evacuated segments again, should
// the index have been given up from before them.
func (r *recovery) skipMoved(l *lane) error {
	for base := range r.st.cold {
		if err := l.log.SkipTo(base + l.segmentSize); err != nil {
			return err
		}
	}
	return nil
}

// moved reports whether the message of an entry of the far lane lives in a cold file.
func (r *recovery) moved(e *delayindex.Entry) bool {
	loc := commitlog.Loc(e.Loc)
	if loc.Lane() != farLane {
		return false
	}
	cut, ok := r.st.cuts[r.s.lanes[farLane].segmentBase(loc.Offset())]
	return ok && e.FireMs() >= cut.ms
}

// endOfTime is beyond every fire time.
const endOfTime = int64(math.MaxInt64)
