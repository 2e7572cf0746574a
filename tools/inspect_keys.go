package tools

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/keyindex"
	"github.com/duelog/duelog/server/broker"
)

func inspectKeys(e *env) *cobra.Command {
	s := &keysDump{}
	cmd := &cobra.Command{
		Use:   "keys FILE|STORE",
		Short: "The entries of the key index: which hash is where",
		Long: `Show the header and every entry of a run of the key index, or of all runs of a store: the
hash of a topic and a key, and the location of a message that has both. With --topic and
--key only the entries of that key; what becomes of its messages tells duelogctl find.

--from and --to take offsets in the file.`,
		Example: `  duelogctl inspect keys ./data --topic orders --key order-42`,
		Args:    arguments("FILE|STORE"),
		RunE:    func(_ *cobra.Command, args []string) error { return s.run(e, args[0]) },
	}
	cmd.Flags().StringVar(&s.topic, "topic", "", "`topic` of --key")
	cmd.Flags().StringVar(&s.key, "key", "", "only entries of this `key`")
	cmd.Flags().StringVar(&s.span.from, "from", "", "begin at this `offset`")
	cmd.Flags().StringVar(&s.span.to, "to", "", "end before this `offset`")
	return cmd
}

// keysDump prints runs of the key index.
type keysDump struct {
	span       span
	topic, key string
	d          *dump
}

func (s *keysDump) run(e *env, arg string) error {
	if err := s.span.parse(e.now()); err != nil {
		return err
	}
	switch {
	case s.span.byTime:
		return usagef("--from and --to of inspect keys are offsets: it knows no times")
	case (s.topic == "") != (s.key == ""):
		return usagef("--topic and --key go together: a key is hashed with its topic")
	}
	return e.dumpFiles(arg, &dumpOf{
		verbs: []string{"keys"}, depth: 3, body: "none", none: "no run of the key index has such an entry",
		one: s.one, all: s.all,
	})
}

func (s *keysDump) one(d *dump, t *target) error {
	s.d = d
	return s.file(t, t.file, false)
}

func (s *keysDump) all(d *dump, t *target) error {
	s.d = d
	if len(t.m.KeysUpTo) == 0 {
		s.d.e.note("the store has no key index")
	}
	for lane := range 256 {
		for _, r := range t.m.KeyRuns[uint8(lane)] {
			if err := s.file(t, filepath.Join(t.store, keyPath(uint8(lane), r)), true); err != nil {
				return err
			}
		}
	}
	return nil
}

// file prints one run. Of several, one may have been merged meanwhile.
func (s *keysDump) file(t *target, path string, several bool) error {
	s.d.file = relative(t.store, path)
	f, err := keyindex.OpenRunFile(path)
	var bad *keyindex.CorruptionError
	switch {
	case several && isGone(err):
		s.d.e.note("%s is gone: it was merged, dropped or lost since the MANIFEST was read", s.d.file)
		return nil
	case errors.As(err, &bad):
		s.d.damage(bad.Offset, 0, bad.Err)
		return nil
	case err != nil:
		return fmt.Errorf("look into key run: %w", err)
	}
	defer f.Close()
	ri := f.Info()
	s.d.put(0, "header", "lane", 10, f.Lane(), "start", 16, ri.Start, "end", 24, ri.End, "entries", 32, ri.Count, "created", 40, ms(f.CreatedMs()))
	return s.entries(f)
}

func (s *keysDump) entries(f *keyindex.RunFile) error {
	var block []keyindex.Entry
	hash := broker.KeyHash(s.topic, s.key)
	for i := range f.Blocks() {
		at := f.BlockOffset(i)
		if s.key != "" && (f.Fence(i) > hash || i+1 < f.Blocks() && f.Fence(i+1) < hash) {
			continue
		}
		var err error
		block, err = f.Block(i, block[:0])
		var bad *keyindex.CorruptionError
		if errors.As(err, &bad) {
			s.d.damage(bad.Offset, 0, bad.Err)
			continue
		}
		if err != nil {
			return fmt.Errorf("look into key run: %w", err)
		}
		for j, x := range block {
			off := at + int64(j)*keyindex.EntrySize
			if (s.key == "" || x.Hash == hash) && s.span.has(off, 0) {
				s.d.put(off, "entry", "hash", 0, fmt.Sprintf("%016x", x.Hash), "loc", 8, commitlog.Loc(x.Loc).String())
			}
		}
		if s.d.e.out.bad != nil {
			return s.d.e.out.bad
		}
	}
	return nil
}
