package tools

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

// segmentFile is a segment on disk.
type segmentFile struct {
	lane uint8
	base int64
	path string
	size int64
	last bool // no later segment of the lane is on disk
}

// listSegments lists the segments of a lane in the store at dir, ascending. A
// lane that is not there has none. A file at the end that the MANIFEST (which may
// be nil) does not know and that begins with no valid frame was prepared for what
// comes next: it is left out, and so is a segment whose messages have moved.
func listSegments(dir string, m *store.Manifest, lane uint8) ([]segmentFile, error) {
	return listSegmentsUsed(dir, m, lane, beginsWithFrame)
}

// listSegmentsUsed is listSegments with another idea of a file that is in use.
func listSegmentsUsed(dir string, m *store.Manifest, lane uint8, used func(*segmentFile) bool) ([]segmentFile, error) {
	if isCold(lane) {
		return nil, nil // its files are no segments
	}
	sub := filepath.Join(dir, filepath.Dir(segmentPath(lane, 0)))
	names, err := os.ReadDir(sub)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	var out []segmentFile
	for _, d := range names {
		base, ok := parseSegmentName(d.Name())
		if !ok || !d.Type().IsRegular() {
			continue
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed since
		}
		if err != nil {
			return nil, fmt.Errorf("list segments: %w", err)
		}
		if f := (segmentFile{lane: lane, base: base, path: filepath.Join(sub, d.Name()), size: info.Size()}); !hasMoved(m, &f) {
			out = append(out, f)
		}
	}
	slices.SortFunc(out, func(a, b segmentFile) int { return int(min(max(a.base-b.base, -1), 1)) })
	for len(out) > 0 && !isRegistered(m, &out[len(out)-1]) && !used(&out[len(out)-1]) {
		out = out[:len(out)-1]
	}
	if len(out) > 0 {
		out[len(out)-1].last = true
	}
	return out, nil
}

func isRegistered(m *store.Manifest, f *segmentFile) bool {
	if m == nil {
		return false
	}
	_, registered := segmentInfo(m, f.lane, f.base)
	return registered
}

// pageSize divides the size of every segment.
const pageSize = 4096

// wholeSize is the size of the largest of the files that can be segments as they are,
// neither cut nor grown; 0 if none can.
func wholeSize(sizes iter.Seq[int64]) (whole int64) {
	for size := range sizes {
		if size%pageSize == 0 {
			whole = max(whole, size)
		}
	}
	return whole
}

// hasMoved reports a segment whose messages are in a cold file, and which a crash kept
// from being deleted.
func hasMoved(m *store.Manifest, f *segmentFile) bool {
	if m == nil || f.lane != store.FarLane || isRegistered(m, f) {
		return false
	}
	_, moved := coldAt(m, f.base)
	_, cut := m.MovedFrom(f.base)
	return moved && !cut
}

// beginsWithFrame tells whether a file was ever used for what its name says.
func beginsWithFrame(f *segmentFile) bool { return hasFrame(f, true) }

// holdsFrame tells the same of a file whose beginning may be damaged: it may read
// all of it.
func holdsFrame(f *segmentFile) bool { return hasFrame(f, false) }

// hasFrame tells whether a file has a valid frame: at its beginning, or anywhere.
func hasFrame(f *segmentFile, first bool) bool {
	_, err := commitlog.ScanFile(f.path, commitlog.FileScan{
		Lane: f.lane, Base: f.base, Whole: true, First: first,
		Visit: func(commitlog.Frame) error { return errEnough },
	})
	return errors.Is(err, errEnough)
}

func segmentInfo(m *store.Manifest, lane uint8, base int64) (commitlog.SegmentInfo, bool) {
	for _, s := range segmentsOf(m, lane) {
		if s.Base == base {
			return s, true
		}
	}
	return commitlog.SegmentInfo{}, false
}

func parseSegmentName(name string) (base int64, ok bool) {
	if len(name) != 20 {
		return 0, false
	}
	base, err := strconv.ParseInt(name, 10, 64)
	return base, err == nil && base >= 0
}

// listLanes lists the lanes that the store at dir has, by its directories and the
// MANIFEST (which may be nil), without journal and cancel log.
func listLanes(dir string, m *store.Manifest) ([]uint8, error) {
	found := map[uint8]bool{}
	for _, sub := range []string{store.LogDir, store.IndexDir} {
		names, err := os.ReadDir(filepath.Join(dir, sub))
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, fmt.Errorf("list lanes: %w", err)
		}
		for _, d := range names {
			if n, err := strconv.ParseUint(d.Name(), 10, 8); err == nil && n < store.CancelLane {
				found[uint8(n)] = true
			}
		}
	}
	if m != nil {
		for lane := range m.Segments {
			found[lane] = true
		}
		if len(m.Cold) > 0 {
			found[store.ColdLane] = true
		}
		delete(found, store.JournalLane)
		delete(found, store.CancelLane)
	}
	var lanes []uint8
	for lane := range found {
		lanes = append(lanes, lane)
	}
	slices.Sort(lanes)
	return lanes, nil
}

// target is what the argument FILE|STORE names.
type target struct {
	store string // directory of the store; "" for a file that is in none
	file  string // the one file to look at; "" for all
	m     *store.Manifest
}

// findTarget tells a store from a file, and finds the store around a file by
// walking up depth directories.
func findTarget(arg string, depth int) (*target, error) {
	st, err := os.Stat(arg)
	if err != nil {
		return nil, hint(fmt.Errorf("look into store: %w", err), "give the data directory of a broker (setting data), or a file in it")
	}
	if st.IsDir() {
		m, err := readManifest(arg)
		return &target{store: arg, m: m}, err
	}
	t := &target{file: arg}
	abs, err := filepath.Abs(arg)
	if err != nil {
		return nil, err
	}
	for range depth {
		abs = filepath.Dir(abs)
	}
	if m, err := store.ReadManifest(abs); err == nil {
		t.store, t.m = abs, m
	}
	return t, nil
}

// relative is path as the user should see it: below the store.
func relative(dir, path string) string {
	if rel, err := filepath.Rel(dir, path); err == nil && filepath.IsLocal(rel) {
		return rel
	}
	return path
}
