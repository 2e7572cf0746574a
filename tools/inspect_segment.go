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
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

// followEvery is how often --follow looks for new frames.
const followEvery = 200 * time.Millisecond

// segmentDump is what inspect segment, journal and cancel have in common.
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
damage; an incomplete frame at the end of the newest segment is normal. A store whose
MANIFEST is lost or damaged can be shown too.

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
	t, err := e.findLog(arg, len(strings.Split(segmentPath(uint8(max(s.lane, 0)), 0), string(filepath.Separator))))
	if err != nil {
		return err
	}
	if err := t.isFor("segment", "journal", "cancel", "cold"); err != nil {
		return err
	}
	files, err := s.choose(t) // which tells these apart
	if err != nil {
		return err
	}
	if len(files) == 0 && !s.follow {
		if err := s.nothing(e, t); err != nil {
			return err
		}
	}
	d := e.dump(s.body, namesOf(t.m))
	if len(files) > 0 && !s.follow {
		d.t.orSay("nothing to show: no frame of that time or place")
	}
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

// nothing says why there is nothing to show: no such lane is a mistake.
func (s *segmentDump) nothing(e *env, t *target) error {
	switch {
	case s.lane == store.JournalLane:
		e.note("the store has no journal: nothing has fired")
	case s.lane == store.CancelLane:
		e.note("the store has no cancel log: nothing was recalled")
	case s.lane >= 0:
		lanes, err := listLanes(t.store, t.m)
		if err == nil && !slices.Contains(lanes, uint8(s.lane)) {
			err = usagef("--lane %d: the store has the lanes %s", s.lane, strings.Trim(fmt.Sprint(lanes), "[]"))
		}
		return err
	default:
		e.note("the store has no segments: nothing was stored")
	}
	return nil
}

// findLog is findTarget for what can be shown without a MANIFEST: its queues have numbers
// then instead of names, unless it is only damaged.
func (e *env) findLog(arg string, depth int) (*target, error) {
	t, err := findTarget(arg, depth)
	if t == nil || err == nil {
		return t, err
	}
	var damaged *commitlog.CorruptionError
	if !errors.Is(err, fs.ErrNotExist) && !errors.As(err, &damaged) {
		return nil, err
	}
	m, _, serr := store.SalvageManifest(arg)
	if serr != nil {
		return nil, err
	}
	t.m = &store.Manifest{Queues: m.Queues} // nothing else of it can be believed
	e.note("%v; next: duelogctl repair %s --out COPY", err, arg)
	return t, nil
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
	switch of, what := laneOf(path); {
	case of >= 0 && isCold(uint8(of)), of < 0 && lane >= 0 && isCold(uint8(lane)):
		return segmentFile{}, hint(usagef("%s is a cold file", path), "duelogctl inspect cold %s", path)
	case of >= 0 && of != lane && (lane >= store.CancelLane || lane < 0 && of >= store.CancelLane): // they have verbs of their own
		return segmentFile{}, hint(usagef("%s is a segment of %s", path, what), "duelogctl inspect %s %s", verbOf(of), path)
	case lane < 0 && of < 0:
		return segmentFile{}, hint(usagef("%s does not lie in the directory of its lane", path), "give --lane")
	case lane < 0:
		lane = of
	}
	st, err := os.Stat(path)
	if err != nil {
		return segmentFile{}, fmt.Errorf("look into segment: %w", err)
	}
	return segmentFile{lane: uint8(lane), base: base, path: path, size: st.Size(), last: true}, nil
}

// laneOf tells by its directory of which lane a segment is; -1 if that does not tell.
func laneOf(path string) (lane int, what string) {
	switch dir := filepath.Base(filepath.Dir(path)); dir {
	case store.JournalDir:
		return store.JournalLane, "the journal"
	case store.CancelDir:
		return store.CancelLane, "the cancel log"
	default:
		n, err := strconv.ParseUint(dir, 10, 8)
		if err != nil {
			return -1, ""
		}
		return int(n), "lane " + dir
	}
}

// verbOf is the verb of inspect for a lane.
func verbOf(lane int) string {
	switch {
	case lane == store.JournalLane:
		return "journal"
	case lane == store.CancelLane:
		return "cancel"
	case isCold(uint8(lane)):
		return "cold"
	}
	return "segment"
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
