package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Rebuilt says what Rebuild did for one lane. Lane ColdLane is that of the cold files.
type Rebuilt struct {
	Lane        uint8
	RunsBefore  int
	RunsAfter   int
	EntriesRead int64 // of the runs that were given up, as the MANIFEST counted them
	Entries     int64 // of the new runs: what waits

	// Of the key index; zero for a store without one.
	KeyRunsBefore, KeyRunsAfter int
	KeysRead, Keys              int64
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
		o.FireBatch = int(min((o.JournalSegmentSize-4096)/maxFiringSize, DefaultFireBatch))
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

// Rebuild gives up the runs of the delay index of all lanes and those of the key
// index, and makes them anew from commit log and cold files, which have everything
// that they have. It takes the store's lock, and in the end the store is as after any
// clean stop; what came due before is fired on the way, as by any start. Until then it
// holds 32 bytes for each message that waits, and 16 for each key. Without Options.Keys
// the store has no key index afterwards.
//
// It may be cut short at any point: the runs of a lane are given up by one edit of
// the MANIFEST, and every start brings back what is in none.
//
// Nothing else is given up. The slots of consume queues since the last checkpoint are
// made anew by every start, from lane 0 and from the journal; of those before it only
// the files of the queues say which message fired into which slot.
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
		if k := s.catalog.state.keys[r.Lane]; k != nil {
			for _, ri := range k.runs {
				r.KeyRunsAfter++
				r.Keys += ri.Count
			}
		}
	}
	return report, nil
}

// giveUpAllRuns makes the MANIFEST forget both indexes.
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
	}
	if len(s.catalog.state.cold) > 0 {
		report = append(report, Rebuilt{Lane: coldLane})
	}
	for i := range report {
		if err := s.giveUp(&report[i]); err != nil {
			return nil, err
		}
	}
	return report, nil
}

// giveUp makes the MANIFEST forget the indexes of one lane.
func (s *Store) giveUp(r *Rebuilt) error {
	st := s.catalog.state
	start := st.indexed[r.Lane]
	if segments := st.laneSegments(r.Lane); len(segments) > 0 {
		start = segments[0].Base
	}
	if r.Lane == coldLane {
		start = 0
	}
	runs := slices.Clone(st.runs[r.Lane])
	for _, ri := range runs {
		r.RunsBefore++
		r.EntriesRead += ri.Count
		start = min(start, ri.Start)
	}
	e := s.giveUpKeys(r, start)
	for _, ri := range runs {
		e.runGone(r.Lane, ri)
	}
	if r.Lane != coldLane { // a cold file without a run gets one
		e.indexed(r.Lane, start)
	}
	if len(e) == 0 {
		return nil
	}
	return s.catalog.commit(e)
}

// giveUpKeys gives up the key index of one lane from start on, if it is to have one:
// else Open removes it.
func (s *Store) giveUpKeys(r *Rebuilt, start int64) (e edit) {
	if k := s.catalog.state.keys[r.Lane]; k != nil {
		for _, ri := range k.runs {
			r.KeyRunsBefore++
			r.KeysRead += ri.Count
			e.keyRunGone(r.Lane, ri)
		}
	}
	if s.opts.Keys != nil {
		e.keysUpTo(r.Lane, start)
	}
	return e
}
