package tools

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

func inspectRun(e *env) *cobra.Command {
	var sp span
	cmd := &cobra.Command{
		Use:   "run FILE|STORE",
		Short: "The entries of delay-index runs, in the order in which they fire",
		Long: `Show the header and every entry of a run, or of all runs of a store. --from and --to take
offsets in the file, or fire times.`,
		Example: `  duelogctl inspect run ./data --from "tomorrow 09:00" --to "tomorrow 09:01"`,
		Args:    arguments("FILE|STORE"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := sp.parse(e.now()); err != nil {
				return err
			}
			return e.dumpRuns(args[0], &sp)
		},
	}
	sp.flags(cmd, "offset", "(of firing)")
	return cmd
}

func (e *env) dumpRuns(arg string, sp *span) error {
	return e.dumpFiles(arg, &dumpOf{
		verbs: []string{"run"}, depth: 3, body: "none", none: "what waits, if anything, is in no run yet",
		one: func(d *dump, t *target) error { return d.run(t, t.file, sp, false) },
		all: func(d *dump, t *target) error {
			for lane := range 256 {
				for _, r := range t.m.Runs[uint8(lane)] {
					if err := d.run(t, filepath.Join(t.store, runPath(uint8(lane), r)), sp, true); err != nil {
						return err
					}
				}
			}
			return nil
		},
	})
}

// run prints one run file. Of several, one may have been dropped meanwhile.
func (d *dump) run(t *target, path string, sp *span, several bool) error {
	d.file = relative(t.store, path)
	f, err := delayindex.OpenRunFile(path)
	var bad *delayindex.CorruptionError
	switch {
	case errors.As(err, &bad) && errors.Is(err, fs.ErrNotExist), several && errors.Is(err, fs.ErrNotExist):
		d.e.note("%s is gone: it was dropped or lost since the MANIFEST was read", d.file)
		return nil
	case errors.As(err, &bad):
		d.damage(bad.Offset, 0, bad.Err)
		return nil
	case err != nil:
		return fmt.Errorf("look into run: %w", err)
	}
	defer f.Close()
	ri := f.Info()
	d.put(0, "header", "lane", 10, f.Lane(), "start", 16, ri.Start, "end", 24, ri.End, "entries", 32, ri.Count,
		"min_fire", 40, ms(ri.MinFireMs), "max_fire", 48, ms(ri.MaxFireMs), "created", 56, ms(f.CreatedMs()))
	return d.entries(f, sp)
}

func (d *dump) entries(f *delayindex.RunFile, sp *span) error {
	var block []delayindex.Entry
	first := int64(0)
	if sp.byTime {
		first = f.FirstBlock(sp.lo)
	}
	for i := first; i < f.Blocks(); i++ {
		at := f.BlockOffset(i)
		var err error
		block, err = f.Block(i, block[:0])
		var bad *delayindex.CorruptionError
		if errors.As(err, &bad) {
			d.damage(bad.Offset, 0, bad.Err)
			continue
		}
		if err != nil {
			return fmt.Errorf("look into run: %w", err)
		}
		if sp.byTime && block[0].FireMs() >= sp.hi {
			return nil
		}
		l := f.Layout()
		if sp.has(at, block[0].FireMs()) && l.Header > 0 {
			d.layout(at, len(block), &l)
		}
		for j := range block {
			if off := f.RowOffset(i, j); sp.has(off, block[j].FireMs()) {
				d.entry(off, &l, &block[j])
			}
		}
	}
	return d.e.out.bad
}

// layout prints the header of a block: how many bytes each field of its entries takes,
// and what they add to.
func (d *dump) layout(off int64, entries int, l *delayindex.BlockLayout) {
	w, b := &l.Width, &l.Base
	d.put(off, "block", "when_shift", 0, l.Shift, "when_bytes", 1, w[0], "loc_bytes", 2, w[1], "size_bytes", 3, w[2],
		"queue_bytes", 4, w[3], "tag_bytes", 5, w[4], "key_bytes", 6, w[5], "when_base", 8, b[0], "loc_base", 16, commitlog.Loc(b[1]).String(),
		"size_base", 24, b[2], "queue_base", 28, b[3], "tag_base", 32, b[4], "key_base", 36, b[5], "entries", 40, entries)
}

func (d *dump) entry(off int64, l *delayindex.BlockLayout, x *delayindex.Entry) {
	fireAt := l.At[0]
	if l.Shift == 0 {
		fireAt += 2
	}
	d.put(off, "entry", "flags", l.At[0], x.Flags(), "fire", fireAt, ms(x.FireMs()), "loc", l.At[1], commitlog.Loc(x.Loc).String(), "size", l.At[2], x.Size,
		"queue", l.At[3], d.names.name(x.Queue), "tag_hash", l.At[4], x.Tag, "key_hash", l.At[5], x.Key)
}
