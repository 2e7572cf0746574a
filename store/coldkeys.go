package store

import (
	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/keyindex"
)

// The key index of the cold lane gets the keys of a cold file in one step, with which
// the file becomes readable and after which the segment that it came from goes, so
// that there is no moment at which Lookup finds neither (I8). They are collected
// while the messages move, 16 bytes a key, for all that is done in that step keeps
// checkpoints and cancellations waiting. After a crash they are read from the cold
// files behind what is in runs. That, as all ranges of an index, works only if files
// come in the order of their bases: see compactor.overtaken. The index has a lane
// without a log for all that it has in common with the others.

// coldKeyBatch is how many records are taken into the key index at once.
const coldKeyBatch = 1024

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

// openColdKeys opens the key index and reads the cold files that it does not have.
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
		if info.Base >= from {
			s.addColdKeys(info.Base)
		}
	}
	return nil
}

// addColdKeys takes the keys of a cold file into memory. What cannot be read has
// none; its readers tell of it.
func (s *Store) addColdKeys(base int64) {
	l := s.cold.lane
	var entries []keyindex.Entry
	var hashes []uint64
	for it, err := range s.cold.files.Records(base) {
		if err != nil {
			continue
		}
		payload, err := s.cold.files.View(it.Loc.Offset(), it.Size)
		if err != nil {
			continue
		}
		hashes = s.opts.Keys(payload, hashes[:0])
		if entries = appendKeys(entries, it.Loc, hashes); len(entries) >= coldKeyBatch {
			l.keys.Add(entries, it.Loc.Offset()+int64(it.Size))
			entries = entries[:0]
		}
	}
	l.keys.Add(entries, base+l.segmentSize)
}

// movedKeys are the keys of what an evacuation moves. The zero value takes none.
type movedKeys struct {
	hash    func(payload []byte, dst []uint64) []uint64
	batch   *keyindex.Batch
	hashes  []uint64         // scratch
	entries []keyindex.Entry // scratch
}

func (s *Store) newMovedKeys() movedKeys {
	if s.cold.lane.keys == nil {
		return movedKeys{}
	}
	return movedKeys{hash: s.opts.Keys, batch: keyindex.NewBatch()}
}

func (k *movedKeys) add(loc commitlog.Loc, payload []byte) {
	if k.batch == nil {
		return
	}
	k.hashes = k.hash(payload, k.hashes[:0])
	k.entries = appendKeys(k.entries[:0], loc, k.hashes)
	k.batch.Add(k.entries)
}

// showKeys makes the keys of a new cold file known, and has the keeper write them as
// a run, so that the next start need not read the file again.
func (s *Store) showKeys(k *movedKeys, base int64) {
	if l := s.cold.lane; k.batch != nil {
		l.keys.AddBatch(k.batch, base+l.segmentSize)
		s.kickKeeper()
	}
}
