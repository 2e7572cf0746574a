package tools

import (
	"context"
	"fmt"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

// firingAt is a firing and where in the journal it stands.
type firingAt struct {
	store.Firing
	file   string
	offset int64 // in the file
}

// eachFrame visits the frames of a lane, from the one at from on, with their files,
// relative to the store, and their offsets there. Damage is passed over; verify tells.
func (f *finder) eachFrame(ctx context.Context, lane uint8, from int64, visit func(file string, off int64, fr *commitlog.Frame) error) error {
	files, err := listSegments(f.dir, f.m, lane)
	if err != nil {
		return err
	}
	for _, x := range files {
		if x.base+x.size <= from {
			continue
		}
		name := relative(f.dir, x.path)
		_, err := commitlog.ScanFile(x.path, commitlog.FileScan{
			Lane: lane, Base: x.base, From: from, Whole: !x.last,
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
	from, ok := f.journalFrom()
	if !ok {
		return nil
	}
	return f.eachFrame(ctx, store.JournalLane, from, func(file string, off int64, fr *commitlog.Frame) error {
		return store.EachFiring(fr, func(x store.Firing) error {
			if l := f.lives[x.Loc]; l != nil {
				l.firings = append(l.firings, firingAt{x, file, off + commitlog.FrameHeaderSize + int64(x.At)})
			}
			return nil
		})
	})
}

// journalFrom is where in the journal the first of the messages may have fired; ok is
// false if none has a fire time. What the mark does not cover can only have fired behind
// the replay point: all that the journal has before it is covered.
func (f *finder) journalFrom() (from int64, ok bool) {
	for _, l := range f.lives {
		if !l.item.Scheduled() {
			continue
		}
		if e := itemEntry(&l.item); f.m.Covers(&e) {
			return 0, true
		}
		from, ok = f.m.ReplayJournal, true
	}
	return from, ok
}
