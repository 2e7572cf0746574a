package tools

import (
	"cmp"
	"context"
	"os"
	"path/filepath"
	"slices"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/store"
)

// Which cold files belong to the store is in the MANIFEST. But a cold file that it does
// not know, and whose segment is not there either, has the only copy of its messages:
// the MANIFEST has lost the edit that made one of the other. If the MANIFEST is lost
// altogether all cold files on disk count. One whose segment is there as well shares
// messages with it: the cold file has all that fire as late as its first one.

// findCold adds to the MANIFEST, which may be lost, the cold files that it should have.
// hints are files that it had once.
func (r *repair) findCold(lost bool, hints []cold.Info) error {
	names, err := coldNames(r.dir)
	if err != nil {
		return err
	}
	for _, name := range names {
		base, whole := parseSegmentName(name)
		if !whole || isRegistered(r.m, &segmentFile{lane: store.ColdLane, base: base}) {
			continue
		}
		segment, err := os.Stat(filepath.Join(r.dir, segmentPath(store.FarLane, base)))
		if err == nil && !lost {
			continue // the segment has all of it
		}
		info, err := ownColdInfo(filepath.Join(r.dir, segmentPath(store.ColdLane, base)), hints)
		if err != nil {
			return err
		}
		if info.Size == 0 {
			continue
		}
		if segment != nil {
			r.m.Cuts = append(r.m.Cuts, store.SegmentCut{Base: base, End: base + segment.Size(), FireMs: info.MinFireMs})
		}
		r.m.Cold = append(r.m.Cold, info)
	}
	slices.SortFunc(r.m.Cold, func(a, b cold.Info) int { return cmp.Compare(a.Base, b.Base) })
	return nil
}

// ownColdInfo is what a cold file says of itself, and what one of hints says of how much
// of it is dead.
func ownColdInfo(path string, hints []cold.Info) (cold.Info, error) {
	f, err := cold.OpenFile(path, store.ColdLane, nil)
	if err != nil {
		return cold.Info{}, err
	}
	defer f.Close()
	info := f.Info()
	for _, h := range hints {
		if h.Base == info.Base && h.Size == info.Size && h.Records == info.Records {
			return h, nil
		}
	}
	if info.MinFireMs > 0 {
		return info, nil
	}
	for it, err := range f.Records() { // its footer is damaged
		if err == nil {
			info.MinFireMs = it.When
			break
		}
	}
	return info, nil
}

// eachCold visits the records of all cold files, and their payloads.
func (r *repair) eachCold(ctx context.Context, visit func(*commitlog.Item, []byte) error) error {
	for i := range r.m.Cold {
		err := eachColdRecord(ctx, r.dir, &r.m.Cold[i], func(f *cold.File, it *commitlog.Item, err error) error {
			if err != nil {
				return nil // it is lost; the copying tells
			}
			payload, err := f.View(it.Loc.Offset(), it.Size)
			if err != nil {
				return err
			}
			return visit(it, payload)
		})
		if err != nil {
			return err
		}
	}
	return nil
}
