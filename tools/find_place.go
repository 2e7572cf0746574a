package tools

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"slices"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/store"
)

// recordAt is a record that was read by its location alone. The frame around it,
// with the checksum, was not: what vouches for it is its own structure (frames.go).
type recordAt struct {
	item    commitlog.Item
	payload []byte // ends with the next record
	msg     message.Message
	message bool // the payload is a stored message, and the checksum of its body is right
	file    string
	offset  int64      // in the file
	cold    *cold.File // nil: it is in a segment
}

// isRecorded tells whether the MANIFEST has a segment or cold file with a location.
// The one that is being written reaches further than the MANIFEST knows.
func isRecorded(m *store.Manifest, loc commitlog.Loc) bool {
	return slices.ContainsFunc(segmentsOf(m, loc.Lane()), func(s commitlog.SegmentInfo) bool {
		return s.Base <= loc.Offset() && (loc.Offset() < s.End || !s.Sealed)
	})
}

// isGone tells that a file was recycled, dropped or merged since it was listed.
func isGone(err error) bool { return errors.Is(err, fs.ErrNotExist) }

// isDamage tells bytes that are not what they should be from a disk that fails.
func isDamage(err error) bool {
	var damaged *commitlog.CorruptionError
	return errors.As(err, &damaged) || errors.Is(err, commitlog.ErrRecord) || errors.Is(err, commitlog.ErrRange) ||
		errors.Is(err, commitlog.ErrNotFound) || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// at reads the record whose payload is at loc. What it returns ends with the next one.
func (f *recordFiles) at(loc commitlog.Loc) (r *recordAt, err error) {
	r = &recordAt{}
	if isCold(loc.Lane()) {
		err = f.coldRecord(loc, r)
	} else {
		err = f.segmentRecord(loc, r)
	}
	if err != nil {
		return nil, err
	}
	r.item.Loc = loc
	r.message = message.Decode(r.payload, &r.msg) == nil && message.CheckBody(&r.msg) == nil
	return r, nil
}

func (f *recordFiles) segmentRecord(loc commitlog.Loc, r *recordAt) error {
	file, base, err := f.segment(loc)
	if err != nil {
		return err
	}
	at := relativeOffset(loc, base)
	if at < commitlog.FrameHeaderSize {
		return commitlog.ErrRange
	}
	var b [commitlog.RecordHeaderSize]byte
	if _, err := file.ReadAt(b[:], at); err != nil {
		return fmt.Errorf("read record: %w", err)
	}
	if r.item, err = commitlog.ParseRecordHeader(b[:]); err != nil {
		return err
	}
	r.file, r.offset = segmentPath(loc.Lane(), base), at
	r.payload, err = f.bytes(loc, uint32(r.item.Size))
	return err
}

func (f *recordFiles) coldRecord(loc commitlog.Loc, r *recordAt) (err error) {
	if r.cold, err = f.coldFile(loc); err != nil {
		return err
	}
	r.item, r.payload, err = r.cold.Record(loc.Offset())
	return err
}

// place looks at the location that is sought: directly, and if what is there does
// not vouch for itself, in the frames of the file.
func (f *finder) place(ctx context.Context) error {
	loc := f.what.loc
	if isRecorded(f.m, loc) {
		files := newRecordFiles(f.dir, f.m)
		defer files.close()
		r, err := files.at(loc)
		if err == nil && r.message && f.names.topic(r.item.Queue) == r.msg.Topic {
			if f.what.is(loc, r.payload, &r.msg) {
				return f.foundRecord(files, r, byLocation)
			}
			return nil
		}
		if err != nil && !isDamage(err) && !isGone(err) {
			return err
		}
	}
	where, err := f.fileOf(loc)
	if err != nil || where == nil {
		return err
	}
	only := sought{loc: loc, byLoc: true, topic: f.what.topic}
	g := &finder{e: f.e, dir: f.dir, m: f.m, names: f.names, what: only, lives: f.lives}
	_, err = g.scanned(ctx, []stretch{*where})
	f.unread.Add(g.unread.Load())
	for _, l := range g.lives {
		l.way = byLocation
	}
	return err
}

// fileOf is the stretch of the file that has loc; nil if none has.
func (f *finder) fileOf(loc commitlog.Loc) (*stretch, error) {
	lane, off := loc.Lane(), loc.Offset()
	if isCold(lane) {
		if info, ok := coldAt(f.m, off); ok {
			return &stretch{lane, info.Base, info.Base + info.Size}, nil
		}
		return nil, nil
	}
	files, err := listSegments(f.dir, f.m, lane)
	for _, x := range files {
		if x.base <= off && off < x.base+x.size {
			return &stretch{lane, x.base, x.base + x.size}, err
		}
	}
	return nil, err
}

// relativeOffset is where a record stands in its file.
func relativeOffset(loc commitlog.Loc, base int64) int64 {
	return loc.Offset() - commitlog.RecordHeaderSize - base
}

// foundRecord takes up a record that was read by its location.
func (f *finder) foundRecord(files *recordFiles, r *recordAt, way string) error {
	if r.cold != nil {
		f.foundCold(r.cold, &r.item, r.payload, way)
		return nil
	}
	good, err := files.inGoodFrame(r.item.Loc)
	if isGone(err) {
		return nil // recycled since
	}
	f.found(&life{
		item: r.item, file: r.file, offset: r.offset, storedMs: storedAt(r.payload, 0), way: way, damaged: !good,
	}, r.payload)
	return err
}
