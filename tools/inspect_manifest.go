package tools

import (
	"cmp"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

func inspectManifest(e *env) *cobra.Command {
	var history bool
	cmd := &cobra.Command{
		Use:   "manifest FILE|STORE",
		Short: "The catalog: files, queues and the checkpoint of a store",
		Long: `Show what the MANIFEST says: the segments, cold files and runs that belong to the store, the
queues with their numbers, and the point where recovery would start. Of a segment it tells
how much was given back to the file system (given_back), and from which fire time on its
messages have moved to a cold file (moved_from); of a cold file how much of its stream is
dead (dead_bytes) and until when it must be kept (keep).

With --history show instead each operation in the file, in order, field by field with
its byte offset. Of a damaged MANIFEST both show what stands before the damage, and the
exit code is 1.`,
		Example: `  duelogctl inspect manifest ./data
  duelogctl inspect manifest ./data --history -o csv`,
		Args: arguments("FILE|STORE"),
		RunE: func(_ *cobra.Command, args []string) error {
			dir := storeOf(args[0], store.ManifestName)
			if history {
				return e.manifestHistory(dir)
			}
			return e.manifestState(dir)
		},
	}
	cmd.Flags().BoolVar(&history, "history", false, "every operation, field by field")
	return cmd
}

// givenBackIn is how many bytes of a segment the store gave back.
func givenBackIn(m *store.Manifest, lane uint8, s *commitlog.SegmentInfo) (bytes int64) {
	for _, r := range m.GivenBack[lane] {
		if r.From >= s.Base && r.From < s.End {
			bytes += r.To - r.From
		}
	}
	return bytes
}

// manifestHistory prints the operations of the MANIFEST as an annotated dump.
func (e *env) manifestHistory(dir string) error {
	t := e.table("offset", "append", "operation", "field", "value")
	err := store.ManifestOps(dir, func(op store.ManifestOp) bool {
		for _, f := range op.Fields {
			t.row(f.Offset, op.Append, op.Name, f.Name, timeField(f.Name, f.Value))
		}
		return e.out.bad == nil
	})
	var damaged *commitlog.CorruptionError
	if errors.As(err, &damaged) {
		t.row(damaged.Offset, nil, styled{"damage", red}, "reason", styled{damaged.Err.Error(), red})
		return e.damagedManifest(t, dir)
	}
	if err != nil {
		return manifestHint(dir, err)
	}
	return t.close()
}

// damagedManifest ends a table of what stands before the damage.
func (e *env) damagedManifest(t *table, dir string) error {
	if err := t.close(); err != nil {
		return err
	}
	e.note("this is what stands before the damage, and is old; next: duelogctl repair %s --out COPY", dir)
	return errFindings
}

// timeField shows a field whose name ends in _ms as a time.
func timeField(name string, v any) any {
	if n, ok := v.(int64); ok && strings.HasSuffix(name, "_ms") {
		return ms(n)
	}
	return v
}

// manifestState prints what the operations add up to.
func (e *env) manifestState(dir string) error {
	m, err := store.ReadManifestHead(dir)
	var damaged *commitlog.CorruptionError
	if err != nil && !errors.As(err, &damaged) {
		_, again := readManifest(dir) // which says what to do
		return cmp.Or(again, err)
	}
	e.heading("what %s says at %s", m.Path, e.now().Format(timeLayout))
	if m.Torn > 0 && damaged == nil {
		e.note("its last %d bytes are an append that is not complete: one under way, or cut by a crash", m.Torn)
	}
	t := e.table("kind", "lane", "name", "field", "value")
	put := func(kind string, lane any, name string, fields ...any) {
		for i := 0; i < len(fields); i += 2 {
			t.row(kind, lane, name, fields[i], fields[i+1])
		}
	}
	put("manifest", nil, m.Path, "bytes", m.Size, "torn_bytes", m.Torn, "appends", m.Appends, "next_queue", m.NextQueue)
	put("checkpoint", nil, "mark", "fired", ms(m.FiredMs))
	for lane, upTo := range m.Absorbed {
		put("checkpoint", lane, "mark", "absorbed", upTo)
	}
	if n := m.Behind(); n > 0 {
		put("checkpoint", nil, "mark", "queues_behind", n)
	}
	put("checkpoint", nil, "replay", "journal", m.ReplayJournal, "lane0", m.ReplayLane0)
	for _, q := range m.Queues {
		put("queue", nil, fmt.Sprintf("%s/%d", q.Topic, q.Num), "queue", q.Num, "id", q.ID, "min", q.Min, "next", q.Next)
	}
	for lane := range 256 {
		for _, s := range m.Segments[uint8(lane)] {
			put("segment", lane, segmentPath(uint8(lane), s.Base), "end", s.End, "sealed", s.Sealed, "records", s.Records,
				"max_stored", ms(s.MaxStoreMs), "max_fire", ms(s.MaxFireMs), "created", ms(s.CreatedMs), "last_stored", ms(s.LastStoreMs))
			if given := givenBackIn(m, uint8(lane), &s); given > 0 {
				put("segment", lane, segmentPath(uint8(lane), s.Base), "given_back", byteCount(given))
			}
			if at, cut := m.MovedFrom(s.Base); cut && uint8(lane) == store.FarLane {
				put("segment", lane, segmentPath(uint8(lane), s.Base), "moved_from", ms(at))
			}
		}
		if isCold(uint8(lane)) {
			for _, x := range m.Cold {
				put("cold", lane, segmentPath(uint8(lane), x.Base), "bytes", x.Size, "file_bytes", x.FileSize, "records", x.Records,
					"min_fire", ms(x.MinFireMs), "max_fire", ms(x.MaxFireMs), "dead_bytes", x.DeadTo, "keep", ms(x.KeepMs))
			}
		}
		if upTo, ok := m.IndexedUpTo[uint8(lane)]; ok {
			put("index", lane, "lane", "indexed_up_to", upTo)
		}
		for _, r := range m.Runs[uint8(lane)] {
			put("run", lane, runPath(uint8(lane), r), "entries", r.Count, "min_fire", ms(r.MinFireMs), "max_fire", ms(r.MaxFireMs))
		}
		if upTo, ok := m.KeysUpTo[uint8(lane)]; ok {
			put("keys", lane, "lane", "keys_up_to", upTo)
		}
		for _, r := range m.KeyRuns[uint8(lane)] {
			put("key-run", lane, keyPath(uint8(lane), r), "entries", r.Count)
		}
	}
	if damaged != nil {
		put("damage", nil, m.Path, "offset", styled{damaged.Offset, red}, "reason", styled{damaged.Err.Error(), red})
		return e.damagedManifest(t, dir)
	}
	return t.close()
}
