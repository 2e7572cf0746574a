package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/store"
)

// spaceGroups are the values of --by.
var spaceGroups = []string{"lane", "segment", "topic", "kind", "hour", "day"}

func spaceCommand(e *env) *cobra.Command {
	s := &spaceCount{e: e, sums: map[spaceKey]*spaceSum{}, frees: map[freeKey]*freeing{}}
	cmd := &cobra.Command{
		Use:   "space STORE",
		Short: "What the bytes of a store are there for, and when they are freed",
		Long: `Count the bytes of the commit log and of the cold files (lane 16) by what they are there
for: pending messages, live ones (visible, within their retention), dead ones that share a
file with others (and frame headers), recyclable ones (of files in which nothing is alive,
which the broker gives back next), and reserved ones, allocated for messages to come. These
five add up to what the files take on disk; a message of a cold file counts with its part of
a compressed block.

  --by lane, segment, topic   these states; "next_free" is when a message of the group dies
                              next, "gone" when the last does
  --by kind                   all files, by kind, and write amplification
  --by hour, day              when which bytes are freed, by lane: "dying" are those of
                              messages that pass their retention then; "freed" are those that
                              the disk has back then at the latest, whole files of the log,
                              blocks of cold files; "left" is what is allocated after that

Write amplification is bytes written to all files for each byte of message (properties and
body as stored). --by kind tells it for the messages that are there now: "written" is what
was written for them, with the first copy of those that have moved to cold files; merges of
the indexes come on top, which no file remembers. "ever" is what was written since the store
was made, where the files still tell. With --admin it adds what a running broker has counted
since its start.

It reads all of the log, and may be run on a store in use.`,
		Example: `  duelogctl space ./data
  duelogctl space ./data --by topic -o csv
  duelogctl space ./data --by kind --admin 127.0.0.1:5557
  duelogctl space ./data --by day`,
		Args: arguments("STORE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case !slices.Contains(spaceGroups, s.by):
				return usagef("unknown grouping %q: it is one of %s", s.by, strings.Join(spaceGroups, ", "))
			case s.admin != "" && s.by != "kind":
				return usagef("--admin goes with --by kind")
			}
			s.dir = args[0]
			return finished(cmd.Context(), s.run(cmd.Context()))
		},
	}
	f := cmd.Flags()
	f.StringVar(&s.by, "by", "lane", "`group` by: "+strings.Join(spaceGroups, ", "))
	_ = cmd.RegisterFlagCompletionFunc("by", cobra.FixedCompletions(spaceGroups, cobra.ShellCompDirectiveNoFileComp))
	f.StringVar(&s.admin, "admin", "", "`HOST:PORT` of the admin address of the broker that has the store, with --by kind")
	f.DurationVar(&s.retention, "retention", store.DefaultRetention, "how long the broker keeps ordinary messages")
	f.DurationVar(&s.scheduledRetention, "scheduled-retention", store.DefaultScheduledRetention, "how long it keeps scheduled ones after their time")
	return cmd
}

// spaceKey is a group: its fields that do not matter are zero.
type spaceKey struct {
	lane  uint8
	base  int64
	topic string
}

// spaceSum is what was counted of a group.
type spaceSum struct {
	store.SpaceBytes
	messages, fired int64
	bytes           int64 // of messages with their headers, before compression
	payload         int64 // of these without the headers
	used            int64 // of the files, what was written
	nextFreeMs      int64
	goneMs          int64
}

func (s *spaceSum) dies(ms int64) {
	if s.nextFreeMs == 0 || ms < s.nextFreeMs {
		s.nextFreeMs = ms
	}
	s.goneMs = max(s.goneMs, ms)
}

func (s *spaceSum) add(o *spaceSum) {
	s.Pending += o.Pending
	s.Live += o.Live
	s.Dead += o.Dead
	s.Recyclable += o.Recyclable
	s.Reserved += o.Reserved
	s.messages += o.messages
	s.fired += o.fired
	s.bytes += o.bytes
	s.payload += o.payload
	s.used += o.used
	if o.nextFreeMs > 0 {
		s.dies(o.nextFreeMs)
		s.dies(o.goneMs)
	}
}

// spaceCount adds up a store; several files at a time. Its memory are the groups, and
// of a file that is being counted its own.
type spaceCount struct {
	e                             *env
	dir, by, admin                string
	retention, scheduledRetention time.Duration

	m     *store.Manifest
	names queueNames
	fired []uint64
	// recalled messages fire never, and keep their place until their time all the same.
	recalled []uint64
	nowMs    int64

	mu    sync.Mutex
	sums  map[spaceKey]*spaceSum // guarded by mu
	frees map[freeKey]*freeing   // guarded by mu
	files map[uint8]int          // by lane
}

func (s *spaceCount) run(ctx context.Context) (err error) {
	if s.m, err = readManifest(s.dir); err != nil {
		return err
	}
	s.names, s.nowMs, s.files = namesOf(s.m), s.e.now().UnixMilli(), map[uint8]int{}
	if s.fired, err = firedSince(s.dir, s.m); err != nil {
		return err
	}
	if s.recalled, err = cancelledIn(s.dir, s.m); err != nil {
		return err
	}
	if err := s.count(ctx); err != nil {
		return err
	}
	switch s.by {
	case "kind":
		return s.printKinds(ctx)
	case "hour", "day":
		return s.printFrees()
	}
	return s.print()
}

// count reads the segments and cold files.
func (s *spaceCount) count(ctx context.Context) error {
	lanes, err := listLanes(s.dir, s.m)
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(readers())
	for i := range s.m.Cold {
		s.files[store.ColdLane]++
		g.Go(func() error { return s.coldFile(ctx, &s.m.Cold[i]) })
	}
	for _, lane := range lanes {
		files, err := listSegments(s.dir, s.m, lane)
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		s.files[lane] += len(files)
		for _, f := range files {
			g.Go(func() error { return s.segment(ctx, f) })
		}
		if err := s.prepared(lane, files); err != nil {
			return errors.Join(err, g.Wait())
		}
	}
	return g.Wait()
}

// prepared counts the files of a lane that were made for what comes next.
func (s *spaceCount) prepared(lane uint8, files []segmentFile) error {
	names, err := os.ReadDir(filepath.Join(s.dir, filepath.Dir(segmentPath(lane, 0))))
	if err != nil || isCold(lane) || s.by == "topic" {
		return nil // there is none
	}
	for _, d := range names {
		base, ok := parseSegmentName(d.Name())
		if !ok || slices.ContainsFunc(files, func(f segmentFile) bool { return f.base == base }) {
			continue
		}
		info, err := d.Info()
		if isGone(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("list segments: %w", err)
		}
		s.files[lane]++
		s.put(s.key(lane, base, ""), &spaceSum{SpaceBytes: store.SpaceBytes{Reserved: info.Size()}})
	}
	return nil
}

// key is the group of something.
func (s *spaceCount) key(lane uint8, base int64, topic string) spaceKey {
	switch s.by {
	case "topic":
		return spaceKey{topic: topic}
	case "segment":
		return spaceKey{lane: lane, base: base}
	default:
		return spaceKey{lane: lane}
	}
}

func (s *spaceCount) put(key spaceKey, o *spaceSum) {
	s.mu.Lock()
	defer s.mu.Unlock()
	sum := s.sums[key]
	if sum == nil {
		sum = &spaceSum{}
		s.sums[key] = sum
	}
	sum.add(o)
}

func (s *spaceCount) print() error {
	columns := map[string][]string{"lane": {"lane"}, "segment": {"lane", "segment"}, "topic": {"topic"}}[s.by]
	columns = append(slices.Clone(columns), "messages", "pending", "live", "dead", "recyclable")
	byFile := s.by != "topic"
	if byFile {
		columns = append(columns, "used", "allocated")
	}
	columns = append(columns, "next_free", "gone")
	if byFile {
		columns = append(columns, "reserved")
	}
	t := s.e.table(columns...)
	for _, key := range slices.SortedFunc(maps.Keys(s.sums), func(a, b spaceKey) int {
		return cmp.Or(cmp.Compare(a.lane, b.lane), cmp.Compare(a.base, b.base), cmp.Compare(a.topic, b.topic))
	}) {
		sum := s.sums[key]
		row := map[string][]any{"lane": {key.lane}, "segment": {key.lane, segmentPath(key.lane, key.base)}, "topic": {key.topic}}[s.by]
		row = append(row, sum.messages, byteCount(sum.Pending), byteCount(sum.Live), byteCount(sum.Dead), byteCount(sum.Recyclable))
		if byFile {
			row = append(row, byteCount(sum.used), byteCount(sum.Total()))
		}
		row = append(row, ms(sum.nextFreeMs), ms(sum.goneMs))
		if byFile {
			row = append(row, byteCount(sum.Reserved))
		}
		t.row(row...)
	}
	return t.close()
}
