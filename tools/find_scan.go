package tools

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/store"
)

// stretch is the lane offsets [from, to) of a lane; from is the beginning of a frame.
type stretch struct {
	lane     uint8
	from, to int64
}

func (s stretch) String() string {
	if s.to == maxOffset {
		return fmt.Sprintf("from %d on", s.from)
	}
	return fmt.Sprintf("from %d to %d", s.from, s.to)
}

// scanned reads stretches of the log, several files at a time, for messages that are
// the one, and returns how many bytes it read.
func (f *finder) scanned(ctx context.Context, stretches []stretch) (bytes int64, err error) {
	var read atomic.Int64
	var g errgroup.Group
	g.SetLimit(readers())
	for _, s := range stretches {
		if isCold(s.lane) {
			for i := range f.m.Cold {
				g.Go(func() error { return f.coldFile(ctx, &f.m.Cold[i], s, &read) })
			}
			continue
		}
		files, err := listSegments(f.dir, f.m, s.lane)
		if err != nil {
			return 0, errors.Join(err, g.Wait())
		}
		for _, file := range files {
			if file.base < s.to && file.base+file.size > s.from {
				g.Go(func() error { return f.segment(ctx, file, s, &read) })
			}
		}
	}
	err = g.Wait()
	return read.Load(), err
}

// segment reads the part of a segment that is in s.
func (f *finder) segment(ctx context.Context, file segmentFile, s stretch, read *atomic.Int64) error {
	var m message.Message
	info, _ := segmentInfo(f.m, file.lane, file.base)
	limit := sealedEnd(info)
	if end := file.base + file.size; limit == 0 {
		limit = end
	}
	end, err := commitlog.ScanFile(file.path, commitlog.FileScan{
		Lane: file.lane, Base: file.base, From: s.from, Known: info.End, Whole: !file.last, Limit: min(limit, s.to),
		Visit: func(fr commitlog.Frame) error {
			for it, payload := range fr.Items() {
				if f.what.is(it.Loc, payload, &m) {
					f.found(&life{
						item: it, file: relative(f.dir, file.path), offset: relativeOffset(it.Loc, file.base), storedMs: storedAt(payload, fr.StoreMs), way: byScan,
					}, payload)
				}
			}
			return ctx.Err()
		},
		Damaged: func(from, to int64, _ *commitlog.CorruptionError) {
			f.unread.Add(max(to-from-givenBackIn(f.m, file.lane, &commitlog.SegmentInfo{Base: from, End: to}), 0))
		},
	})
	if isGone(err) {
		return nil
	}
	read.Add(max(end.Pos-max(s.from, file.base), 0))
	return err
}

// coldFile looks for the messages in the part of a cold file that is in s.
func (f *finder) coldFile(ctx context.Context, info *cold.Info, s stretch, read *atomic.Int64) error {
	if info.Base >= s.to || info.Base+info.Size <= s.from {
		return nil
	}
	var m message.Message
	return eachColdRecord(ctx, f.dir, info, func(r *cold.File, it *commitlog.Item, err error) error {
		off := it.Loc.Offset()
		if err != nil || off < s.from || off >= s.to {
			return nil // verify tells what is lost
		}
		payload, err := r.View(off, it.Size)
		if err != nil {
			return err
		}
		read.Add(commitlog.RecordHeaderSize + int64(it.Size))
		if f.what.is(it.Loc, payload, &m) {
			f.foundCold(r, it, payload, byScan)
		}
		return nil
	})
}

// foundCold takes up a message of a cold file. A record has no offset in it: that of
// its block stands for it. The frame in which it arrived is gone.
func (f *finder) foundCold(r *cold.File, it *commitlog.Item, payload []byte, way string) {
	l := &life{item: *it, file: segmentPath(store.ColdLane, r.Info().Base), storedMs: storedAt(payload, 0), way: way}
	if at, ok := r.Block(it.Loc.Offset()); ok {
		l.offset = at.Offset
	}
	if made, err := r.Layout(); err == nil {
		l.movedMs = made.CreatedMs
	}
	f.found(l, payload)
}
