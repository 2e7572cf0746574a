package tools

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/duelog/duelog/internal/durable"
	"github.com/duelog/duelog/store"
)

// How recalled messages stay away.
//
// A recalled message stands in a segment like one that is pending; that it must not fire
// is in the cancel log alone. The copy has its frame where it was, no entry of it in the
// index, and a cancel log of its own that names it: without, whoever makes the index
// anew, by rebuild or by another repair, takes it for pending. Of a cold file, which is
// written record by record, it is left out, and needs no record there.
//
// What of the cancel log cannot be read is a loss like that of a message, although nobody
// can say how many messages it means: they are pending in the copy and fire.

// writeCancels writes the cancel log of the copy.
func (r *repair) writeCancels() error {
	if len(r.recalled) == 0 {
		return nil
	}
	segments, err := store.WriteCancels(r.out, r.cancelSize(), r.recalled)
	if err != nil {
		return err
	}
	r.made.Segments[store.CancelLane] = segments
	return durable.SyncDir(r.out)
}

// cancelSize is the size of the files of the cancel log: that of the original's, of which
// one may have been cut short, but hardly the journal's too, which are as large or larger.
func (r *repair) cancelSize() int64 {
	var sizes []int64
	for _, sub := range []string{store.CancelDir, store.JournalDir} {
		files, _ := os.ReadDir(filepath.Join(r.dir, sub)) // what is not there has no size
		for _, f := range files {
			if info, err := f.Info(); err == nil && info.Mode().IsRegular() {
				sizes = append(sizes, info.Size())
			}
		}
	}
	if whole := wholeSize(slices.Values(sizes)); whole > 0 || len(sizes) == 0 {
		return whole
	}
	return (slices.Max(sizes) + pageSize - 1) / pageSize * pageSize
}

// lostRecalls prints what of the cancel log cannot be read.
func (r *repair) lostRecalls() {
	for _, f := range r.findings {
		if !strings.HasPrefix(f.file, store.CancelDir) {
			continue
		}
		r.damagedRecalls++
		r.lost.row(styled{"recall", red}, nil, nil, nil, nil, nil, nil,
			fmt.Sprintf("%s at %d: %s; which messages were recalled in it is lost", f.file, f.offset, f.what))
	}
}
