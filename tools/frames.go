package tools

import (
	"cmp"
	"errors"
	"path/filepath"
	"slices"

	"github.com/duelog/duelog/commitlog"
)

// A record that is read by its location is vouched for by nothing but its body's checksum:
// header, properties and keys may be anything. What was written is known by the checksum of
// the frame around it. Whoever reads a few records looks back for the header of each one's
// frame; whoever reads all of them, in whatever order, has each segment scanned once when
// its first record is wanted, and keeps what of it is damaged. Blocks of cold files are
// checked as they are read.

// errFrame says that the frame around a record is not what was written.
var errFrame = errors.New("the frame around it is damaged: its checksum is wrong")

// inGoodFrame tells whether the frame around the record at loc, of a segment, is what was
// written.
func (f *recordFiles) inGoodFrame(loc commitlog.Loc) (bool, error) {
	_, base, err := f.segment(loc)
	if err != nil {
		return false, err
	}
	path := filepath.Join(f.dir, segmentPath(loc.Lane(), base))
	fr, ok, err := commitlog.FrameAround(path, loc.Lane(), base, loc.Offset()-1)
	if err != nil {
		return false, err
	}
	if ok && hasRecord(&fr, loc) {
		return true, nil
	}
	found := false
	_, err = commitlog.ScanFile(path, commitlog.FileScan{
		Lane: loc.Lane(), Base: base, Whole: true,
		Visit: func(fr commitlog.Frame) error {
			if fr.End <= loc.Offset() {
				return nil
			}
			found = hasRecord(&fr, loc)
			return errEnough
		},
	})
	if errors.Is(err, errEnough) {
		err = nil
	}
	return found, err
}

func hasRecord(fr *commitlog.Frame, loc commitlog.Loc) bool {
	for it := range fr.Items() {
		if it.Loc == loc {
			return true
		}
	}
	return false
}

// checkFrame is errFrame if the record at loc lies where a scan of its segment has found
// no valid frame.
func (f *recordFiles) checkFrame(loc commitlog.Loc) error {
	if isCold(loc.Lane()) {
		return nil
	}
	_, base, err := f.segment(loc)
	if err != nil {
		return err
	}
	at := segmentPath(loc.Lane(), base)
	bad, known := f.damaged[at]
	if !known {
		if bad, err = f.damagedIn(loc.Lane(), base); err != nil {
			return err
		}
		f.damaged[at] = bad
	}
	i, _ := slices.BinarySearchFunc(bad, loc.Offset(), func(d commitlog.Damage, off int64) int { return cmp.Compare(d.To, off) })
	if i < len(bad) && bad[i].From < loc.Offset() {
		return errFrame
	}
	return nil
}

// damagedIn scans a segment for what holds no valid frame, ascending. What is written
// behind what the MANIFEST says to be committed is not looked at: the indexes that it
// names do not know of it.
func (f *recordFiles) damagedIn(lane uint8, base int64) (bad []commitlog.Damage, err error) {
	info, _ := segmentInfo(f.m, lane, base)
	_, err = commitlog.ScanFile(filepath.Join(f.dir, segmentPath(lane, base)), commitlog.FileScan{
		Lane: lane, Base: base, Known: max(info.End, f.m.IndexedUpTo[lane]), Whole: info.Sealed, Limit: sealedEnd(info), Buffer: &f.buffer,
		Visit: func(commitlog.Frame) error { return nil },
		Damaged: func(from, to int64, _ *commitlog.CorruptionError) {
			bad = append(bad, commitlog.Damage{From: from, To: to})
		},
	})
	return bad, err
}
