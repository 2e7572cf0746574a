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
	t, err := findTarget(arg, 3)
	if err != nil {
		return err
	}
	if filepath.Ext(t.file) == ".keys" {
		return hint(usagef("%s is a run of the key index", t.file), "duelogctl inspect keys %s", t.file)
	}
	paths := []string{t.file}
	if t.file == "" {
		paths = paths[:0]
		for lane := range 256 {
			for _, r := range t.m.Runs[uint8(lane)] {
				paths = append(paths, filepath.Join(t.store, runPath(uint8(lane), r)))
			}
		}
	}
	d := e.dump("none", namesOf(t.m))
	for _, path := range paths {
		d.file = relative(t.store, path)
		if err := d.run(path, sp, t.file == ""); err != nil {
			return err
		}
	}
	return d.close()
}

// run prints one run file. Of several, one may have been dropped meanwhile.
func (d *dump) run(path string, sp *span, several bool) error {
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
		for j := range block {
			if off := at + int64(j)*delayindex.EntrySize; sp.has(off, block[j].FireMs()) {
				d.entry(off, &block[j])
			}
		}
	}
	return d.e.out.bad
}

func (d *dump) entry(off int64, x *delayindex.Entry) {
	d.put(off, "entry", "flags", 0, x.Flags(), "fire", 2, ms(x.FireMs()), "loc", 8, commitlog.Loc(x.Loc).String(), "size", 16, x.Size,
		"queue", 20, d.names.name(x.Queue), "tag_hash", 24, x.Tag, "key_hash", 28, x.Key)
}
