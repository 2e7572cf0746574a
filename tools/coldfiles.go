package tools

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/store"
)

// Cold files are the lane of far-future messages (package commitlog/cold). They lie
// where the segments of a lane lie, under the same names, and a record has a lane
// offset as in a segment. For what is asked about segments they answer as
// commitlog.SegmentInfo and segmentFile, whose sizes are those of the stream.

func isCold(lane uint8) bool { return lane == store.ColdLane }

// segmentsOf lists the segments of a lane, or its cold files.
func segmentsOf(m *store.Manifest, lane uint8) []commitlog.SegmentInfo {
	if !isCold(lane) {
		return m.Segments[lane]
	}
	var out []commitlog.SegmentInfo
	for _, x := range m.Cold {
		out = append(out, commitlog.SegmentInfo{
			Base: x.Base, End: x.Base + x.Size, Sealed: true, Records: x.Records, MaxFireMs: max(x.MaxFireMs, x.KeepMs),
		})
	}
	return out
}

// givenBackOf lists what the store gave back of a lane.
func givenBackOf(m *store.Manifest, lane uint8) []commitlog.Range {
	if !isCold(lane) {
		return m.GivenBack[lane]
	}
	var out []commitlog.Range
	for _, x := range m.Cold {
		if x.DeadTo > 0 {
			out = append(out, commitlog.Range{From: x.Base, To: x.Base + x.DeadTo})
		}
	}
	return out
}

// indexedUpTo is the lane offset before which all that waits is in runs. That of
// the cold lane is not registered: a cold file comes together with its run.
func indexedUpTo(m *store.Manifest, lane uint8) int64 {
	end := m.IndexedUpTo[lane]
	if isCold(lane) {
		for _, s := range segmentsOf(m, lane) {
			end = max(end, s.End)
		}
		for _, r := range m.Runs[lane] {
			end = max(end, r.End)
		}
	}
	return end
}

// coldAt finds the registered cold file with a lane offset.
func coldAt(m *store.Manifest, off int64) (cold.Info, bool) {
	for _, x := range m.Cold {
		if x.Base <= off && off < x.Base+x.Size {
			return x, true
		}
	}
	return cold.Info{}, false
}

func openCold(dir string, info *cold.Info) (*cold.File, error) {
	return cold.OpenFile(filepath.Join(dir, segmentPath(store.ColdLane, info.Base)), store.ColdLane, info)
}

// coldNames lists the cold files on disk, registered or not, by their names, those
// that are being written included.
func coldNames(dir string) ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(dir, filepath.Dir(segmentPath(store.ColdLane, 0))))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("list cold files: %w", err)
	}
	var out []string
	for _, d := range entries {
		if _, ok := parseSegmentName(strings.TrimSuffix(d.Name(), ".tmp")); ok {
			out = append(out, d.Name())
		}
	}
	return out, nil
}

// eachColdWithoutRun hands out, as entries of an index, the records of cold files
// that no run stands for: of damaged runs the next start makes new ones.
func eachColdWithoutRun(ctx context.Context, e *env, dir string, m *store.Manifest, add func(*delayindex.Entry) error) error {
	for i := range m.Cold {
		info := &m.Cold[i]
		if slices.ContainsFunc(m.Runs[store.ColdLane], func(r delayindex.RunInfo) bool { return r.Start <= info.Base && info.Base < r.End }) {
			continue
		}
		err := eachColdRecord(ctx, dir, info, func(_ *cold.File, it *commitlog.Item, err error) error {
			if err != nil {
				e.note("%v: its messages are left out; next: duelogctl verify %s", err, dir)
				return nil
			}
			x := itemEntry(it)
			return add(&x)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// eachColdRecord visits what a registered file holds: records, and what is lost as
// errors. A file that is gone has nothing.
func eachColdRecord(ctx context.Context, dir string, info *cold.Info, visit func(*cold.File, *commitlog.Item, error) error) error {
	f, err := openCold(dir, info)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	defer f.Close()
	for it, err := range f.Records() {
		var lost *cold.BlockError
		if err != nil && !errors.As(err, &lost) {
			return err
		}
		if err := errors.Join(visit(f, &it, err), ctx.Err()); err != nil {
			return err
		}
	}
	return nil
}
