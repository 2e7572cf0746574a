package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

// Rebuilt says what Rebuild did for one lane.
type Rebuilt struct {
	Lane        uint8
	RunsBefore  int
	RunsAfter   int
	EntriesRead int64 // of the runs that were given up, as the MANIFEST counted them
	Entries     int64 // of the new runs: what waits
}

// keepForever keeps a store that a tool opens from deleting anything: how long
// messages are kept is the broker's to say.
const keepForever = 100 * 366 * 24 * time.Hour

// Maintenance returns the options with which a tool opens a store that belongs to
// a broker: nothing is deleted, whatever its age, and new files are as large as
// those that are there, as they have to be.
func Maintenance(dir string) *Options {
	o := &Options{
		Retention: keepForever, ScheduledRetention: keepForever, MaxDelay: keepForever,
		SegmentSize:        filesSize(filepath.Join(dir, logDir, "0")),
		JournalSegmentSize: filesSize(filepath.Join(dir, journalDir)),
	}
	for _, lane := range []string{"1", "2", "3"} {
		o.DelaySegmentSize = max(o.DelaySegmentSize, filesSize(filepath.Join(dir, logDir, lane)))
	}
	if o.DelaySegmentSize == 0 && o.SegmentSize > 0 {
		o.DelaySegmentSize = min(o.SegmentSize, DefaultDelaySegmentSize)
	}
	if o.JournalSegmentSize > 0 {
		o.FireBatch = int(min((o.JournalSegmentSize-4096)/journalEntrySize, DefaultFireBatch))
	}
	return o
}

// filesSize is the size of the files in a directory; 0 when there is none.
func filesSize(dir string) int64 {
	files, err := os.ReadDir(dir)
	if err != nil {
		return 0 // what has nothing yet has no directory
	}
	for _, f := range files {
		if info, err := f.Info(); err == nil && info.Mode().IsRegular() && info.Size() > 0 {
			return info.Size()
		}
	}
	return 0
}

// Rebuild gives up the runs of the delay index of all lanes and makes them anew
// from the commit log, which has everything that they have. It takes the store's
// lock, and in the end the store is as after any clean stop; what came due before
// is fired on the way, as by any start. Until then it holds 32 bytes for each
// message that waits.
//
// It may be cut short at any point: the runs of a lane are given up by one edit of
// the MANIFEST, and every start brings back what is in none.
func Rebuild(dir string, o *Options) (report []Rebuilt, err error) {
	if report, err = giveUpAllRuns(dir, o); err != nil {
		return nil, err
	}
	s, err := Open(dir, o)
	if err != nil {
		return nil, err
	}
	if err := s.Close(); err != nil {
		return nil, err
	}
	for i := range report {
		r := &report[i]
		for _, ri := range s.catalog.state.runs[r.Lane] {
			r.RunsAfter++
			r.Entries += ri.Count
		}
	}
	return report, nil
}

// giveUpAllRuns makes the MANIFEST forget the index.
func giveUpAllRuns(dir string, o *Options) (report []Rebuilt, err error) {
	if _, err := os.Stat(filepath.Join(dir, manifestName)); err != nil {
		return nil, fmt.Errorf("rebuild store: %w", err) // it makes none
	}
	opts := Options{}
	if o != nil {
		opts = *o
	}
	opts.EnsureDefaults()
	s := newStore(dir, opts)
	defer func() { err = errors.Join(err, s.release()) }()
	if s.lockFile, err = lockFile(filepath.Join(dir, lockName)); err != nil {
		return nil, err
	}
	if s.catalog, err = openCatalog(dir, s.log); err != nil {
		return nil, err
	}
	for id := range uint8(laneCount) {
		report = append(report, Rebuilt{Lane: id})
		r := &report[id]
		start := s.catalog.state.indexed[id]
		if segments := s.catalog.state.laneSegments(id); len(segments) > 0 {
			start = segments[0].Base
		}
		runs := s.catalog.state.runs[id]
		for _, ri := range runs {
			r.RunsBefore++
			r.EntriesRead += ri.Count
			start = min(start, ri.Start)
		}
		if _, err := s.giveUpRuns(&lane{s: s, id: id}, runs, start); err != nil {
			return nil, err
		}
	}
	return report, nil
}
