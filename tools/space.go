package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

func spaceCommand(e *env) *cobra.Command {
	s := &spaceCount{e: e, sums: map[spaceKey]*spaceSum{}}
	cmd := &cobra.Command{
		Use:   "space STORE",
		Short: "What the bytes of the commit log are there for, and when they are freed",
		Long: `Count the bytes of the commit log by what they are there for: pending messages, live ones
(visible, within their retention), dead ones that share a file with others, recyclable
ones (of files in which nothing is alive), and what is allocated for messages to come.
By lane, by file or by topic.

A message counts with its record header; frame headers are in the total only. It reads
all of the log, and may be run on a store in use; a broker that runs has the same figures
by lane in its metrics.`,
		Example: `  duelogctl space ./data
  duelogctl space ./data --by topic -o csv
  duelogctl space ./data --by segment`,
		Args: arguments("STORE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if !slices.Contains([]string{"lane", "segment", "topic"}, s.by) {
				return usagef("unknown grouping %q: it is lane, segment or topic", s.by)
			}
			return finished(cmd.Context(), s.run(cmd.Context(), args[0]))
		},
	}
	cmd.Flags().StringVar(&s.by, "by", "lane", "`group` by: lane, segment, topic")
	_ = cmd.RegisterFlagCompletionFunc("by", cobra.FixedCompletions([]string{"lane", "segment", "topic"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().DurationVar(&s.retention, "retention", store.DefaultRetention, "how long the broker keeps ordinary messages")
	cmd.Flags().DurationVar(&s.scheduledRetention, "scheduled-retention", store.DefaultScheduledRetention, "how long it keeps scheduled ones after their time")
	return cmd
}

type spaceKey struct {
	lane  uint8
	base  int64
	topic string
}

// spaceSum is the bytes of one group. What is allocated and not accounted for by
// messages is reserved, unless the file is recyclable as a whole.
type spaceSum struct {
	messages, pending, live, dead, recyclable, allocated, used int64
	nextFreeMs, goneMs                                         int64
}

func (s *spaceSum) dies(ms int64) {
	if s.nextFreeMs == 0 || ms < s.nextFreeMs {
		s.nextFreeMs = ms
	}
	s.goneMs = max(s.goneMs, ms)
}

// spaceCount adds up a store; several segments at a time.
type spaceCount struct {
	e                             *env
	by                            string
	retention, scheduledRetention time.Duration

	m     *store.Manifest
	names queueNames
	fired []uint64
	nowMs int64

	mu   sync.Mutex
	sums map[spaceKey]*spaceSum // guarded by mu
}

func (s *spaceCount) run(ctx context.Context, dir string) (err error) {
	if s.m, err = readManifest(dir); err != nil {
		return err
	}
	s.names, s.nowMs = namesOf(s.m), s.e.now().UnixMilli()
	if s.fired, err = firedSince(dir, s.m); err != nil {
		return err
	}
	lanes, err := listLanes(dir, s.m)
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(readers())
	for _, lane := range lanes {
		files, err := listSegments(dir, s.m, lane)
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		for _, f := range files {
			g.Go(func() error { return s.segment(ctx, f) })
		}
	}
	if err := g.Wait(); err != nil {
		return err
	}
	return s.print()
}

// segment counts one file, and then adds it to the others.
func (s *spaceCount) segment(ctx context.Context, f segmentFile) error {
	info, _ := segmentInfo(s.m, f.lane, f.base)
	mine := map[spaceKey]*spaceSum{}
	whole := spaceSum{allocated: f.size}
	end, err := commitlog.ScanFile(f.path, commitlog.FileScan{
		Lane: f.lane, Base: f.base, Known: info.End, Whole: !f.last, Limit: sealedEnd(info),
		Visit: func(fr commitlog.Frame) error {
			for it := range fr.Items() {
				key := s.key(f, &it)
				if mine[key] == nil {
					mine[key] = &spaceSum{}
				}
				s.count(mine[key], &it, fr.StoreMs)
				s.count(&whole, &it, fr.StoreMs)
			}
			return ctx.Err()
		},
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil // recycled since it was listed
	}
	if err != nil {
		return fmt.Errorf("count %s: %w", segmentPath(f.lane, f.base), err)
	}
	whole.used = end.Pos - f.base
	if info.Sealed && whole.pending+whole.live == 0 {
		for _, sum := range mine {
			sum.recyclable, sum.dead = sum.dead, 0
		}
	}
	if s.by != "topic" {
		key := s.key(f, nil)
		if mine[key] == nil {
			mine[key] = &spaceSum{}
		}
		mine[key].allocated, mine[key].used = whole.allocated, whole.used
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, sum := range mine {
		s.add(key, sum)
	}
	return nil
}

func (s *spaceCount) key(f segmentFile, it *commitlog.Item) spaceKey {
	switch s.by {
	case "topic":
		return spaceKey{topic: s.names.topic(it.Queue)}
	case "segment":
		return spaceKey{lane: f.lane, base: f.base}
	default:
		return spaceKey{lane: f.lane}
	}
}

// count adds a record by its state.
func (s *spaceCount) count(sum *spaceSum, it *commitlog.Item, storeMs int64) {
	bytes := commitlog.RecordHeaderSize + int64(it.Size)
	sum.messages++
	dies := storeMs + s.retention.Milliseconds()
	if it.Scheduled() {
		dies = it.When + s.scheduledRetention.Milliseconds()
		e := itemEntry(it)
		if _, fired := slices.BinarySearch(s.fired, uint64(it.Loc)); !fired && !s.m.Covers(&e) {
			sum.pending += bytes
			sum.dies(max(dies, s.nowMs+s.scheduledRetention.Milliseconds()))
			return
		}
	}
	if dies <= s.nowMs {
		sum.dead += bytes
		return
	}
	sum.live += bytes
	sum.dies(dies)
}

func (s *spaceCount) add(key spaceKey, o *spaceSum) {
	sum := s.sums[key]
	if sum == nil {
		sum = &spaceSum{}
		s.sums[key] = sum
	}
	sum.messages += o.messages
	sum.pending += o.pending
	sum.live += o.live
	sum.dead += o.dead
	sum.recyclable += o.recyclable
	sum.allocated += o.allocated
	sum.used += o.used
	if o.nextFreeMs > 0 {
		sum.dies(o.nextFreeMs)
		sum.dies(o.goneMs)
	}
}

func (s *spaceCount) print() error {
	columns := map[string][]string{"lane": {"lane"}, "segment": {"lane", "segment"}, "topic": {"topic"}}[s.by]
	columns = append(slices.Clone(columns), "messages", "pending", "live", "dead", "recyclable")
	if s.by != "topic" {
		columns = append(columns, "used", "allocated")
	}
	t := s.e.table(append(columns, "next_free", "gone")...)
	for _, key := range slices.SortedFunc(maps.Keys(s.sums), func(a, b spaceKey) int {
		return cmp.Or(cmp.Compare(a.lane, b.lane), cmp.Compare(a.base, b.base), cmp.Compare(a.topic, b.topic))
	}) {
		sum := s.sums[key]
		row := map[string][]any{"lane": {key.lane}, "segment": {key.lane, segmentPath(key.lane, key.base)}, "topic": {key.topic}}[s.by]
		row = append(row, sum.messages, byteCount(sum.pending), byteCount(sum.live), byteCount(sum.dead), byteCount(sum.recyclable))
		if s.by != "topic" {
			row = append(row, byteCount(sum.used), byteCount(sum.allocated))
		}
		t.row(append(row, ms(sum.nextFreeMs), ms(sum.goneMs))...)
	}
	return t.close()
}
