package tools

import (
	"errors"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/store"
)

func inspectCold(e *env) *cobra.Command {
	s := &coldDump{}
	cmd := &cobra.Command{
		Use:   "cold FILE|STORE",
		Short: "The blocks and records of cold files, in the order in which they fire",
		Long: `Show a cold file, or all of a store: header, blocks with their records, block table and
footer, field by field with its byte offset in the file. A record has no offset of its own,
for its block is compressed: it is shown at that of the block. What the store has given back
of a file is not shown, and what no intact block has is shown as damage.

--from and --to take lane offsets, as in the locations of records, or fire times.`,
		Example: `  duelogctl inspect cold ./data --from "2027-01-01 00:00" --to "2027-01-02 00:00"
  duelogctl inspect cold ./data/commitlog/16/00000000000000000000 --body none`,
		Args: arguments("FILE|STORE"),
		RunE: func(_ *cobra.Command, args []string) error { return s.run(e, args[0]) },
	}
	s.span.flags(cmd, "offset", "(of firing)")
	bodyFlag(cmd, &s.body)
	return cmd
}

// coldDump prints cold files.
type coldDump struct {
	span span
	body string
	d    *dump
}

func (s *coldDump) run(e *env, arg string) error {
	if err := errors.Join(s.span.parse(e.now()), checkBody(s.body)); err != nil {
		return err
	}
	return e.dumpFiles(arg, &dumpOf{
		verbs: []string{"cold", "segment"}, depth: 3, body: s.body, none: "no cold file has such a message",
		one: s.one, all: s.all,
	})
}

// one prints the file that was named, by what its store knows of it, or by itself.
func (s *coldDump) one(d *dump, t *target) error {
	s.d = d
	base, ok := parseSegmentName(filepath.Base(t.file))
	if !ok {
		return usagef("%s is not a cold file: its name is not 20 digits", t.file)
	}
	lane := uint8(store.ColdLane)
	if n, err := strconv.ParseUint(filepath.Base(filepath.Dir(t.file)), 10, 8); err == nil {
		if lane = uint8(n); !isCold(lane) {
			return hint(usagef("%s is a segment of lane %d, not a cold file", t.file, lane), "duelogctl inspect segment %s", t.file)
		}
	}
	var info *cold.Info
	if t.m != nil {
		if x, ok := coldAt(t.m, base); ok && x.Base == base {
			info = &x
		}
	}
	return s.file(t, t.file, lane, info)
}

func (s *coldDump) all(d *dump, t *target) error {
	s.d = d
	for i := range t.m.Cold {
		info := &t.m.Cold[i]
		err := s.file(t, filepath.Join(t.store, segmentPath(store.ColdLane, info.Base)), store.ColdLane, info)
		if isGone(err) {
			s.d.e.note("%s is gone: it was given up or lost since the MANIFEST was read", s.d.file)
			continue
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *coldDump) file(t *target, path string, lane uint8, info *cold.Info) error {
	s.d.file = relative(t.store, path)
	f, err := cold.OpenFile(path, lane, info)
	if err != nil {
		return err
	}
	defer f.Close()
	l, err := f.Layout()
	if err != nil {
		return err
	}
	if l.CreatedMs != 0 || l.Base != 0 || l.Lane != 0 {
		s.d.put(0, "header", "lane", 10, l.Lane, "base", 16, l.Base, "created", 24, ms(l.CreatedMs))
	}
	for _, err := range f.Damage() {
		var bad *commitlog.CorruptionError
		if errors.As(err, &bad) {
			s.d.damage(bad.Offset, 0, bad.Err)
		}
	}
	if dead := f.Info().DeadTo; dead > 0 {
		s.d.put(0, "dead", "bytes", 0, byteCount(dead))
	}
	if err := s.blocks(f); err != nil {
		return err
	}
	if l.FooterAt > 0 {
		s.footer(f, &l)
	}
	return s.d.e.out.bad
}

// blocks prints the blocks that are not dead, and what lies between them.
func (s *coldDump) blocks(f *cold.File) error {
	info := f.Info()
	next, at := info.Base+info.DeadTo, int64(0)
	for b := range f.Blocks() {
		if b.To <= info.Base+info.DeadTo {
			continue
		}
		if b.From > next {
			s.d.damage(at, b.From-next, cold.ErrLost)
		}
		next, at = b.To, b.Offset+b.Stored
		if s.outside(&b) {
			continue
		}
		if err := s.block(f, b); err != nil {
			return err
		}
	}
	if end := info.Base + info.Size; next < end && info.Records > 0 {
		s.d.damage(at, end-next, cold.ErrLost)
	}
	return nil
}

// outside tells whether nothing of a block can be in the span.
func (s *coldDump) outside(b *cold.BlockInfo) bool {
	if s.span.byTime {
		return b.LastFireMs < s.span.lo
	}
	return b.To <= s.span.lo || b.From >= s.span.hi
}

func (s *coldDump) block(f *cold.File, b cold.BlockInfo) error {
	var bad *commitlog.CorruptionError
	shown := false
	s.d.flat = true
	defer func() { s.d.flat = false }()
	for it, err := range f.RecordsOf(b) {
		if errors.As(err, &bad) {
			s.d.damage(b.Offset, b.Stored, bad.Err)
			return nil
		}
		if err != nil {
			return err
		}
		if s.span.byTime && it.When >= s.span.hi || s.d.e.out.bad != nil {
			return nil
		}
		if !s.span.has(it.Loc.Offset(), it.When) {
			continue
		}
		if !shown {
			s.header(f, b)
			shown = true
		}
		payload, err := f.View(it.Loc.Offset(), it.Size)
		if err != nil {
			return err
		}
		s.d.record(b.Offset, &it, payload)
	}
	return nil
}

// header prints what stands before a block.
func (s *coldDump) header(f *cold.File, b cold.BlockInfo) {
	s.d.flat = false
	defer func() { s.d.flat = true }()
	h, err := f.Header(b)
	if err != nil {
		return // its records were read a moment ago
	}
	codec := "raw"
	switch {
	case h.Zstd:
		codec = "zstd"
	case h.Void:
		codec = "void"
	}
	s.d.put(b.Offset, "block", "stored", 8, b.Stored-cold.BlockHeaderSize, "size", 12, b.To-b.From, "position", 16, b.From-f.Info().Base,
		"records", 24, h.Records, "codec", 28, codec, "last_fire", 32, ms(b.LastFireMs))
}

// footer prints block table and footer.
func (s *coldDump) footer(f *cold.File, l *cold.Layout) {
	if len(f.Damage()) == 0 {
		at := l.TableAt
		for b := range f.Blocks() {
			if !s.outside(&b) {
				s.d.put(at, "table", "offset", 0, b.Offset, "position", 8, b.From-f.Info().Base, "last_fire", 16, ms(b.LastFireMs))
			}
			at += cold.TableEntrySize
		}
	}
	s.d.put(l.FooterAt, "footer", "table", 0, l.TableAt, "bytes", 8, l.Bytes, "records", 16, l.Records, "blocks", 24, l.Blocks,
		"first_fire", 32, ms(l.MinFireMs), "last_fire", 40, ms(l.MaxFireMs))
}
