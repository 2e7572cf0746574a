package store

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/keyindex"
)

// The key index of the cold lane has no memtables. The keys of what an evacuation moves
// are collected while it moves and written as runs, one for each Mi keys, before the
// move is committed: so much is in memory, twice, however many keys a segment has. The edit
// that registers the cold file registers them, and says that the index reaches up to
// the file's end.
//
// That keeps I8. Before the edit Lookup finds the message in the segment. After it, the
// runs are shown before the segment goes, and Lookup asks the far lane before the cold
// one: who no longer finds the message in the segment finds it here. A crash before the edit
// leaves runs that Open deletes, one after it runs that Open shows. A message that was
// cancelled while the others moved has its keys too, and State says that it is cancelled.
//
// Ranges of an index follow each other, so files come in the order of their bases: see
// compactor.overtaken. The index has a lane without a log for all that it has in common
// with the others.

// keyLanes lists the lanes with what may have a key index.
func (s *Store) keyLanes() []*lane {
	lanes := append(make([]*lane, 0, laneCount+1), s.lanes[:]...)
	return append(lanes, s.cold.lane)
}

// held lists the segments of the lane, or what stands for them.
func (l *lane) held() []commitlog.SegmentInfo {
	if l.id != coldLane {
		return l.log.Segments()
	}
	var out []commitlog.SegmentInfo
	for _, info := range l.s.cold.files.Infos() {
		out = append(out, commitlog.SegmentInfo{Base: info.Base, End: info.Base + info.Size, Sealed: true})
	}
	return out
}

// openColdKeys opens the key index, and makes the runs of cold files that have none: a
// release before this rule wrote them later than the files.
func (r *recovery) openColdKeys() error {
	s := r.s
	files := s.cold.files.Infos()
	end := int64(0)
	if n := len(files); n > 0 {
		end = files[n-1].Base + s.cold.lane.segmentSize
	}
	from, err := r.openKeys(s.cold.lane, end)
	if err != nil || s.cold.lane.keys == nil {
		return err
	}
	for _, info := range files {
		if info.Base < from {
			continue
		}
		if err := s.addColdKeys(info.Base); errors.Is(err, syscall.ENOSPC) {
			s.log.Error("messages are not found by key, and no segment is evacuated, until a start finds more disk space", "cold_file", info.Base, "error", err)
			s.compactor.stays = true
			return nil
		} else if err != nil {
			return fmt.Errorf("index the keys of cold file %d: %w", info.Base, err)
		}
	}
	return nil
}

// addColdKeys makes the runs of a cold file. What cannot be read has no keys; its readers
// tell of it.
func (s *Store) addColdKeys(base int64) error {
	k := s.newMovedKeys(base)
	err := s.readColdKeys(k, base)
	if err == nil {
		err = k.finish(base + s.cold.lane.segmentSize)
	}
	var e edit
	k.register(&e)
	if err == nil {
		err = s.catalog.commit(e)
	}
	if err == nil {
		err = s.showKeys(k)
	}
	if err != nil {
		return errors.Join(err, s.discardKeys(k))
	}
	return nil
}

func (s *Store) readColdKeys(k *movedKeys, base int64) error {
	for it, err := range s.cold.files.Records(base) {
		if err != nil {
			continue
		}
		payload, err := s.cold.files.View(it.Loc.Offset(), it.Size)
		if err != nil {
			continue
		}
		if _, err := k.add(it.Loc, payload); err != nil {
			return err
		}
	}
	return nil
}

// movedKeys are the keys of a cold file that is being made. A nil one takes none.
type movedKeys struct {
	hash    func(payload []byte, dst []uint64) []uint64
	b       *keyindex.Builder
	runs    []keyindex.RunInfo
	end     int64            // of the file's range of offsets
	hashes  []uint64         // scratch
	entries []keyindex.Entry // scratch
}

// newMovedKeys returns nil without a key index.
func (s *Store) newMovedKeys(base int64) *movedKeys {
	if s.cold.lane.keys == nil {
		return nil
	}
	return &movedKeys{hash: s.opts.Keys, b: s.cold.lane.keys.NewBuilder(base)}
}

// add takes the keys of a message and returns how many bytes they are.
func (k *movedKeys) add(loc commitlog.Loc, payload []byte) (n int64, err error) {
	if k == nil {
		return 0, nil
	}
	k.hashes = k.hash(payload, k.hashes[:0])
	k.entries = appendKeys(k.entries[:0], loc, k.hashes)
	if err := k.b.Add(k.entries, loc.Offset()); err != nil {
		return 0, fmt.Errorf("write keys of moved messages: %w", err)
	}
	return int64(len(k.entries)) * keyindex.EntrySize, nil
}

// finish makes all of it durable.
func (k *movedKeys) finish(end int64) (err error) {
	if k == nil {
		return nil
	}
	k.end = end
	if k.runs, err = k.b.Finish(end); err != nil {
		return fmt.Errorf("write keys of moved messages: %w", err)
	}
	return nil
}

func (k *movedKeys) register(e *edit) {
	if k == nil {
		return
	}
	for _, ri := range k.runs {
		e.keyRun(coldLane, ri)
	}
	e.keysUpTo(coldLane, k.end)
}

// showKeys shows what is registered.
func (s *Store) showKeys(k *movedKeys) error {
	if k == nil {
		return nil
	}
	for _, ri := range k.runs {
		s.written[BytesKeys].Add(ri.Bytes())
	}
	s.kickKeys()
	return keysError(s.cold.lane, s.cold.lane.keys.Insert(k.b, k.end))
}

// discardKeys gives the runs up, unless it was the MANIFEST that failed: then nobody knows
// whether it has them.
func (s *Store) discardKeys(k *movedKeys) error {
	switch {
	case k == nil:
		return nil
	case s.Err() != nil:
		return k.b.Close()
	}
	return k.b.Discard()
}
