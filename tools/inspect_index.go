package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/store"
)

// maxPeriods bounds the rows of inspect index, and with them its memory.
const maxPeriods = 1 << 20

func inspectIndex(e *env) *cobra.Command {
	c := &indexCount{counts: map[indexCell]*indexSum{}}
	var by string
	cmd := &cobra.Command{
		Use:   "index STORE",
		Short: "What is pending, by second, minute, hour or day, topic and lane",
		Long: `Count the pending messages of a store by the time at which they fire: those in the runs of
the delay index, and those that are still only in the commit log. --from and --to take
fire times.`,
		Example: `  duelogctl inspect index ./data
  duelogctl inspect index ./data --by minute --from now --to 1h --topic orders`,
		Args: arguments("STORE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := c.span.parse(e.now()); err != nil {
				return err
			}
			if (c.span.from != "" || c.span.to != "") && !c.span.byTime {
				return usagef("--from and --to of inspect index are times")
			}
			if err := c.choose(by); err != nil {
				return err
			}
			return finished(cmd.Context(), c.run(cmd.Context(), e, args[0]))
		},
	}
	cmd.Flags().StringVar(&by, "by", "hour", "`period`: second, minute, hour, day")
	_ = cmd.RegisterFlagCompletionFunc("by", cobra.FixedCompletions([]string{"second", "minute", "hour", "day"}, cobra.ShellCompDirectiveNoFileComp))
	cmd.Flags().StringVar(&c.topic, "topic", "", "only this `topic`")
	cmd.Flags().IntVar(&c.lane, "lane", -1, "only this lane")
	c.span.flags(cmd, "", "(of firing)")
	return cmd
}

// indexCount counts entries by period, topic and lane.
type indexCount struct {
	span   span
	topic  string
	lane   int
	period func(time.Time) time.Time

	names  queueNames
	counts map[indexCell]*indexSum
	bad    bool
}

type indexCell struct {
	startMs int64
	topic   string
	lane    uint8
}

type indexSum struct{ entries, bytes int64 }

func (c *indexCount) choose(by string) error {
	switch by {
	case "second", "minute", "hour":
		unit := map[string]time.Duration{"second": time.Second, "minute": time.Minute, "hour": time.Hour}[by]
		c.period = func(t time.Time) time.Time { return t.Truncate(unit) }
	case "day":
		c.period = func(t time.Time) time.Time {
			year, month, day := t.Date()
			return time.Date(year, month, day, 0, 0, 0, 0, t.Location())
		}
	default:
		return usagef("unknown period %q: it is second, minute, hour or day", by)
	}
	return nil
}

func (c *indexCount) run(ctx context.Context, e *env, dir string) error {
	m, err := readManifest(dir)
	if err != nil {
		return err
	}
	c.names = namesOf(m)
	lanes, err := listLanes(dir, m)
	if err != nil {
		return err
	}
	gone, err := doneIn(dir, m)
	if err != nil {
		return err
	}
	for _, lane := range lanes {
		if c.lane >= 0 && c.lane != int(lane) {
			continue
		}
		add := func(x *delayindex.Entry) error {
			if _, done := slices.BinarySearch(gone, x.Loc); done || m.Covers(x) {
				return nil
			}
			return c.add(lane, x)
		}
		if err := errors.Join(c.runs(ctx, e, dir, lane, m, add), c.unindexed(ctx, e, dir, lane, m, add)); err != nil {
			return err
		}
	}
	return c.print(e)
}

// doneIn lists, sorted, the locations of what the mark does not cover and does not wait
// all the same: it has fired since, or was recalled.
func doneIn(dir string, m *store.Manifest) ([]uint64, error) {
	fired, err := firedSince(dir, m)
	if err != nil {
		return nil, err
	}
	cancelled, err := cancelledIn(dir, m)
	if err != nil {
		return nil, err
	}
	done := append(fired, cancelled...)
	slices.Sort(done)
	return done, nil
}

// cancelledIn lists, sorted, what the cancel log says must not fire.
func cancelledIn(dir string, m *store.Manifest) ([]uint64, error) {
	c := &check{dir: dir, m: m, newest: m}
	if err := c.gatherCancelled(context.Background()); err != nil {
		return nil, err
	}
	var out []uint64
	for loc, yes := range c.cancelled {
		if yes {
			out = append(out, uint64(loc))
		}
	}
	slices.Sort(out)
	return out, nil
}

// firedSince lists, sorted, the locations that the journal has from the replay
// point on: the firings of some seconds, and at most those of 256 MiB of journal.
func firedSince(dir string, m *store.Manifest) ([]uint64, error) {
	var fired []uint64
	err := eachFiring(dir, m, m.ReplayJournal, func(x store.Firing) error {
		fired = append(fired, uint64(x.Loc))
		return nil
	})
	slices.Sort(fired)
	return fired, err
}

// eachFiring visits the journal from an offset on. Damage in it is passed over;
// verify tells.
func eachFiring(dir string, m *store.Manifest, from int64, visit func(store.Firing) error) error {
	files, err := listSegments(dir, m, journalLane)
	if err != nil {
		return err
	}
	for _, f := range files {
		if f.base+f.size <= from {
			continue
		}
		_, err := commitlog.ScanFile(f.path, commitlog.FileScan{
			Lane: journalLane, Base: f.base, From: from, Whole: !f.last,
			Visit: func(fr commitlog.Frame) error { return store.EachFiring(&fr, visit) },
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read journal: %w", err)
		}
	}
	return nil
}

// runs counts what the runs of a lane hold.
func (c *indexCount) runs(ctx context.Context, e *env, dir string, lane uint8, m *store.Manifest, add func(*delayindex.Entry) error) error {
	for _, ri := range m.Runs[lane] {
		if ri.MaxFireMs < c.span.lo || ri.MinFireMs >= c.span.hi {
			continue
		}
		path := filepath.Join(dir, runPath(lane, ri))
		if err := c.runFile(ctx, path, ri.CutMs, add); err != nil {
			var bad *delayindex.CorruptionError
			switch {
			case errors.Is(err, fs.ErrNotExist):
				e.note("%s is gone: it was dropped or lost since the MANIFEST was read", runPath(lane, ri))
			case errors.As(err, &bad):
				c.bad = true
				e.note("%v: its entries are left out; next: duelogctl verify %s", err, dir)
			default:
				return err
			}
		}
	}
	return nil
}

func (c *indexCount) runFile(ctx context.Context, path string, cutMs int64, add func(*delayindex.Entry) error) error {
	f, err := delayindex.OpenRunFile(path)
	if err != nil {
		return err
	}
	defer f.Close()
	var block []delayindex.Entry
	for i := f.FirstBlock(c.span.lo); i < f.Blocks(); i++ {
		if block, err = f.Block(i, block[:0]); err != nil {
			return err
		}
		if block[0].FireMs() >= c.span.hi {
			return nil
		}
		for j := range block {
			if cutMs > 0 && block[j].FireMs() >= cutMs {
				break // the rest has moved to a cold file, and another run has it
			}
			if err := add(&block[j]); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return nil
}

// unindexed counts what the log of a lane holds beyond its runs.
func (c *indexCount) unindexed(ctx context.Context, e *env, dir string, lane uint8, m *store.Manifest, add func(*delayindex.Entry) error) error {
	if isCold(lane) {
		return eachColdWithoutRun(ctx, e, dir, m, add)
	}
	files, err := listSegments(dir, m, lane)
	if err != nil {
		return err
	}
	from := m.IndexedUpTo[lane]
	for _, f := range files {
		if f.base+f.size <= from {
			continue
		}
		_, err := commitlog.ScanFile(f.path, commitlog.FileScan{
			Lane: lane, Base: f.base, From: from, Whole: !f.last,
			Visit: func(fr commitlog.Frame) error {
				for it := range fr.Items() {
					if !it.Scheduled() {
						continue
					}
					x := itemEntry(&it)
					if err := add(&x); err != nil {
						return err
					}
				}
				return ctx.Err()
			},
		})
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read lane %d: %w", lane, err)
		}
	}
	return nil
}

// itemEntry is the index entry of a scheduled record.
func itemEntry(it *commitlog.Item) delayindex.Entry {
	return delayindex.Entry{
		When: delayindex.MakeWhen(it.When, 0), Loc: uint64(it.Loc), Size: uint32(it.Size), Queue: it.Queue, Tag: it.Tag, Key: it.Key,
	}
}

func (c *indexCount) add(lane uint8, x *delayindex.Entry) error {
	topic := c.names.topic(x.Queue)
	if !c.span.has(0, x.FireMs()) && c.span.byTime || c.topic != "" && c.topic != topic {
		return nil
	}
	cell := indexCell{c.period(time.UnixMilli(x.FireMs())).UnixMilli(), topic, lane}
	sum := c.counts[cell]
	if sum == nil {
		if len(c.counts) == maxPeriods {
			return hint(fmt.Errorf("more than %d periods", maxPeriods), "narrow it with --from, --to, --topic or --lane, or count by a longer period")
		}
		sum = &indexSum{}
		c.counts[cell] = sum
	}
	sum.entries++
	sum.bytes += int64(x.Size)
	return nil
}

// barWidth is how long the longest bar is.
const barWidth = 40

func (c *indexCount) print(e *env) error {
	cells := make([]indexCell, 0, len(c.counts))
	most, total := int64(1), int64(0)
	for cell, sum := range c.counts {
		cells = append(cells, cell)
		most = max(most, sum.entries)
		total += sum.entries
	}
	slices.SortFunc(cells, func(a, b indexCell) int {
		return cmp.Or(cmp.Compare(a.startMs, b.startMs), cmp.Compare(a.topic, b.topic), cmp.Compare(a.lane, b.lane))
	})
	columns := []string{"time", "topic", "lane", "pending", "bytes"}
	if e.forPeople() {
		columns = append(columns, "")
	}
	t := e.table(columns...)
	for _, cell := range cells {
		sum := c.counts[cell]
		row := []any{ms(cell.startMs), cell.topic, cell.lane, sum.entries, byteCount(sum.bytes)}
		if e.forPeople() {
			row = append(row, styled{strings.Repeat("#", int(max(sum.entries*barWidth/most, 1))), green})
		}
		t.row(row...)
	}
	if err := t.close(); err != nil {
		return err
	}
	e.note("%d pending", total)
	if c.bad {
		return errFindings
	}
	return nil
}
