package tools

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/store"
)

// firingAt is a firing and where in the journal it stands.
type firingAt struct {
	store.Firing
	file   string
	offset int64 // in the file
}

// recallAt is the last word of the cancel log about a message, and where it stands.
type recallAt struct {
	message commitlog.Loc
	commitlog.Item
	revoked bool
	ms      int64 // when it was written
	file    string
	offset  int64 // in the file
}

// anew tells a record that was written to free an older segment: it knows neither queue
// nor id, and its time is not that of the recall.
func (r *recallAt) anew() bool { return r.Queue == 0 && r.Key == 0 }

// eachFrame visits the frames of a lane with their files, relative to the store, and
// their offsets there. Damage is passed over; verify tells.
func (f *finder) eachFrame(ctx context.Context, lane uint8, visit func(file string, off int64, fr *commitlog.Frame) error) error {
	files, err := listSegments(f.dir, f.m, lane)
	if err != nil {
		return err
	}
	for _, x := range files {
		name := relative(f.dir, x.path)
		_, err := commitlog.ScanFile(x.path, commitlog.FileScan{
			Lane: lane, Base: x.base, Whole: !x.last,
			Visit: func(fr commitlog.Frame) error {
				if err := ctx.Err(); err != nil {
					return err
				}
				return visit(name, fr.Loc.Offset()-x.base, &fr)
			},
		})
		if err != nil && !isGone(err) {
			return fmt.Errorf("read %s: %w", name, err)
		}
	}
	return nil
}

// journal looks for firings of the messages.
func (f *finder) journal(ctx context.Context) error {
	waited := false
	for _, l := range f.lives {
		waited = waited || l.item.Scheduled()
	}
	if !waited {
		return nil
	}
	return f.eachFrame(ctx, store.JournalLane, func(file string, off int64, fr *commitlog.Frame) error {
		return store.EachFiring(fr, func(x store.Firing) error {
			if l := f.lives[x.Loc]; l != nil {
				l.firings = append(l.firings, firingAt{x, file, off + commitlog.FrameHeaderSize + int64(x.At)})
			}
			return nil
		})
	})
}

// recalls looks for what the cancel log says of the messages, and of one that is sought
// and has no record any more: a segment gives the bytes of recalled messages back.
func (f *finder) recalls(ctx context.Context) error {
	f.recalled = map[commitlog.Loc]*recallAt{}
	err := f.eachFrame(ctx, store.CancelLane, func(file string, off int64, fr *commitlog.Frame) error {
		for it, payload := range fr.Items() {
			loc, revoked, err := store.ParseCancel(payload)
			if err != nil || f.lives[loc] == nil && f.recalled[loc] == nil && !f.what.maybe(loc, &it, f.names) {
				continue
			}
			at := off + it.Loc.Offset() - commitlog.RecordHeaderSize - fr.Loc.Offset()
			f.recalled[loc] = &recallAt{message: loc, Item: it, revoked: revoked, ms: fr.StoreMs, file: file, offset: at}
		}
		return nil
	})
	if err != nil {
		return err
	}
	f.gone = f.withoutRecord()
	return nil
}

// maybe tells whether a recalled message may be the one, by what its recall says of it.
func (s *sought) maybe(loc commitlog.Loc, it *commitlog.Item, names queueNames) bool {
	if s.topic != "" && names.topic(it.Queue) != s.topic {
		return false
	}
	return s.byLoc && loc == s.loc || s.key != "" && it.Key != 0 && it.Key == uint32(message.Hash(s.key))
}

// withoutRecord lists the recalled messages that are only known by their recall. Where
// there is another message it is not: two ids may have the same hash.
func (f *finder) withoutRecord() (gone []*recallAt) {
	files := newRecordFiles(f.dir, f.m)
	defer files.close()
	for loc, x := range f.recalled {
		if f.lives[loc] != nil || x.revoked {
			continue
		}
		if isRecorded(f.m, loc) {
			if r, err := files.at(loc); err == nil && r.message {
				continue
			}
		}
		gone = append(gone, x)
	}
	slices.SortFunc(gone, func(a, b *recallAt) int { return cmp.Or(cmp.Compare(a.ms, b.ms), cmp.Compare(a.message, b.message)) })
	return gone
}
