package tools

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

// followEvery is how often --follow looks for new frames.
const followEvery = 200 * time.Millisecond

// segmentDump is what inspect segment and inspect journal have in common.
type segmentDump struct {
	span   span
	body   string
	lane   int
	follow bool
	frames func(d *dump, off int64, f *commitlog.Frame)
}

func inspectSegment(e *env) *cobra.Command {
	s := &segmentDump{frames: dumpFrame}
	cmd := &cobra.Command{
		Use:   "segment FILE|STORE",
		Short: "The frames and records of commit-log segments",
		Long: `Show every frame and record of a segment, or of all segments of a store, field by field
with its byte offset in the file. Frames whose checksum does not match are shown as
damage; an incomplete frame at the end of the newest segment is normal.

--from and --to take lane offsets, or the times at which frames were stored. --follow goes
on to the next segment of a store; of a single file it waits for the end.`,
		Example: `  duelogctl inspect segment ./data --lane 0 --from -10m
  duelogctl inspect segment ./data/commitlog/0/00000000000000000000 --body hex
  duelogctl inspect segment ./data --follow -o jsonl`,
		Args: arguments("FILE|STORE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return stopped(cmd.Context(), s.follow, s.run(cmd.Context(), e, args[0]))
		},
	}
	cmd.Flags().IntVar(&s.lane, "lane", -1, "only this lane")
	s.flags(cmd, "(of storing)")
	bodyFlag(cmd, &s.body)
	return cmd
}

func inspectJournal(e *env) *cobra.Command {
	s := &segmentDump{frames: dumpFirings, lane: store.JournalLane, body: "none"}
	cmd := &cobra.Command{
		Use:   "journal FILE|STORE",
		Short: "What fired, in order",
		Long: `Show the fire journal: every batch with the messages that became visible in it, and the
slots that they got.

--from and --to take offsets in the journal, or the times at which batches fired.`,
		Example: `  duelogctl inspect journal ./data --from -1m
  duelogctl inspect journal ./data --follow`,
		Args: arguments("FILE|STORE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return stopped(cmd.Context(), s.follow, s.run(cmd.Context(), e, args[0]))
		},
	}
	s.flags(cmd, "(of firing)")
	return cmd
}

func (s *segmentDump) flags(cmd *cobra.Command, what string) {
	s.span.flags(cmd, "offset", what)
	cmd.Flags().BoolVarP(&s.follow, "follow", "f", false, "wait for more at the end, until Ctrl-C")
}

func (s *segmentDump) run(ctx context.Context, e *env, arg string) error {
	if err := errors.Join(s.span.parse(e.now()), checkBody(s.body)); err != nil {
		return err
	}
	if s.lane > 255 {
		return usagef("--lane %d: a store has lanes 0 to 255", s.lane)
	}
	t, err := findTarget(arg, 3-bool2int(s.lane == store.JournalLane))
	if err != nil {
		return err
	}
	files, err := s.choose(t)
	if err != nil {
		return err
	}
	d := e.dump(s.body, namesOf(t.m))
	ends := map[uint8]int64{} // where each lane was left
	for _, f := range files {
		if err := s.dumpFile(ctx, d, t, f, ends); err != nil {
			return endRows(d.t, err)
		}
	}
	if s.follow {
		if err := s.following(ctx, d, t, files, ends); err != nil {
			return err
		}
	}
	return d.close()
}

func bool2int(b bool) int {
	if b {
		return 1
	}
	return 0
}

// choose lists the segments to show, by lane and offset.
func (s *segmentDump) choose(t *target) ([]segmentFile, error) {
	if t.file != "" {
		f, err := oneSegment(t.file, s.lane)
		return []segmentFile{f}, err
	}
	if s.lane == store.ColdLane {
		return nil, hint(usagef("lane %d has no segments, but cold files", s.lane), "duelogctl inspect cold %s", t.store)
	}
	lanes := []uint8{uint8(max(s.lane, 0))}
	if s.lane < 0 {
		var err error
		if lanes, err = listLanes(t.store, t.m); err != nil {
			return nil, err
		}
	}
	var out []segmentFile
	for _, lane := range lanes {
		files, err := listSegments(t.store, t.m, lane)
		if err != nil {
			return nil, err
		}
		out = append(out, files...)
	}
	return out, nil
}

// oneSegment finds lane and base of a segment by its path.
func oneSegment(path string, lane int) (segmentFile, error) {
	base, ok := parseSegmentName(filepath.Base(path))
	if !ok {
		return segmentFile{}, usagef("%s is not a segment: its name is not 20 digits", path)
	}
	n, err := strconv.ParseUint(filepath.Base(filepath.Dir(path)), 10, 8)
	if lane == store.JournalLane && err == nil {
		return segmentFile{}, hint(usagef("%s is a segment of lane %d, not of the journal", path, n), "duelogctl inspect segment %s", path)
	}
	if lane < 0 {
		if err != nil {
			return segmentFile{}, hint(usagef("%s does not lie in the directory of its lane", path), "give --lane")
		}
		lane = int(n)
	}
	if isCold(uint8(lane)) {
		return segmentFile{}, hint(usagef("%s is a cold file", path), "duelogctl inspect cold %s", path)
	}
	st, err := os.Stat(path)
	if err != nil {
		return segmentFile{}, fmt.Errorf("look into segment: %w", err)
	}
	return segmentFile{lane: uint8(lane), base: base, path: path, size: st.Size(), last: true}, nil
}

// dumpFile prints one segment from where the lane was left.
func (s *segmentDump) dumpFile(ctx context.Context, d *dump, t *target, f segmentFile, ends map[uint8]int64) error {
	d.file = relative(t.store, f.path)
	known := int64(0)
	if t.m != nil {
		for _, info := range t.m.Segments[f.lane] {
			if info.Base == f.base {
				known = info.End
			}
		}
	}
	end, err := commitlog.ScanFile(f.path, commitlog.FileScan{
		Lane: f.lane, Base: f.base, From: ends[f.lane], Known: known, Whole: !f.last,
		Visit: func(fr commitlog.Frame) error {
			if s.span.has(fr.Loc.Offset(), fr.StoreMs) {
				s.frames(d, fr.Loc.Offset()-f.base, &fr)
			}
			return errors.Join(ctx.Err(), d.e.out.bad)
		},
		Damaged: func(from, to int64, reason *commitlog.CorruptionError) { d.damage(from-f.base, to-from, reason.Err) },
	})
	switch {
	case errors.Is(err, fs.ErrNotExist) && t.file == "":
		return nil // recycled since it was listed
	case err != nil:
		return fmt.Errorf("look into segment: %w", err)
	case !s.follow && end.Torn > 0:
		d.e.note("%s: an incomplete frame of %d bytes at %d is its end; normal after a crash and in a store in use", d.file, end.Torn, end.Pos-f.base)
	}
	ends[f.lane] = end.Pos
	if end.Sealed {
		ends[f.lane] = f.base + f.size
	}
	return nil
}

// following prints what comes, until ctx ends, or the one file that was asked for.
func (s *segmentDump) following(ctx context.Context, d *dump, t *target, files []segmentFile, ends map[uint8]int64) error {
	tick := time.NewTicker(followEvery)
	defer tick.Stop()
	for {
		d.t.flush()
		if t.file != "" && ends[files[0].lane] >= files[0].base+files[0].size {
			d.e.note("%s is complete; follow the store to see how the lane goes on", d.file)
			return nil
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		if t.file == "" {
			now, err := s.choose(t)
			if err != nil {
				return err
			}
			files = now
		}
		d.names.refresh(t.store)
		for _, f := range files {
			if ends[f.lane] >= f.base+f.size || slices.ContainsFunc(files, func(o segmentFile) bool { return o.lane == f.lane && o.base > f.base && ends[f.lane] >= o.base }) {
				continue
			}
			if err := s.dumpFile(ctx, d, t, f, ends); err != nil && ctx.Err() == nil {
				return err
			}
		}
	}
}

// dumpFrame prints a frame and its records; off is its place in the file.
func dumpFrame(d *dump, off int64, f *commitlog.Frame) {
	d.put(off, "frame", "raw", 5, f.Raw(), "records", 6, f.Records, "bytes", 8, len(f.Payload), "loc", 16, f.Loc.String(), "stored", 24, ms(f.StoreMs))
	base := off - f.Loc.Offset()
	for it, payload := range f.Items() {
		d.record(base+it.Loc.Offset()-commitlog.RecordHeaderSize, &it, payload)
	}
}

// dumpFirings prints a batch of the journal.
func dumpFirings(d *dump, off int64, f *commitlog.Frame) {
	d.put(off, "batch", "firings", 6, f.Records, "bytes", 8, len(f.Payload), "offset", 16, f.Loc.Offset(), "fired", 24, ms(f.StoreMs))
	off += commitlog.FrameHeaderSize
	err := store.EachFiring(f, func(x store.Firing) error {
		// Its fields have no fixed places: all stand where it begins.
		d.put(off+int64(x.At), "firing", "loc", 0, x.Loc.String(), "slot", 0, x.Slot, "queue", 0, d.names.name(x.Queue), "size", 0, x.Size, "tag_hash", 0, x.Tag)
		return nil
	})
	if err != nil {
		d.damage(off, int64(len(f.Payload)), err)
	}
}
