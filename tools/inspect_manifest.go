package tools

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/store"
)

func inspectManifest(e *env) *cobra.Command {
	var history bool
	cmd := &cobra.Command{
		Use:   "manifest STORE",
		Short: "The catalog: files, queues and the checkpoint of a store",
		Long: `Show what the MANIFEST says: the segments and runs that belong to the store, the queues
with their numbers, and the point where recovery would start.

With --history show instead each operation in the file, in order, field by field with
its byte offset.`,
		Example: `  duelogctl inspect manifest ./data
  duelogctl inspect manifest ./data --history -o csv`,
		Args: arguments("STORE"),
		RunE: func(_ *cobra.Command, args []string) error {
			if history {
				return e.manifestHistory(args[0])
			}
			return e.manifestState(args[0])
		},
	}
	cmd.Flags().BoolVar(&history, "history", false, "every operation, field by field")
	return cmd
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
	if err != nil {
		return manifestHint(dir, err)
	}
	return t.close()
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
	m, err := readManifest(dir)
	if err != nil {
		return err
	}
	e.heading("what %s says at %s", m.Path, e.now().Format(timeLayout))
	if m.Torn > 0 {
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
	put("checkpoint", nil, "replay", "journal", m.ReplayJournal, "lane0", m.ReplayLane0)
	for _, q := range m.Queues {
		put("queue", nil, q.Topic, "queue", q.Num, "id", q.ID, "min", q.Min, "next", q.Next)
	}
	for lane := range 256 {
		for _, s := range m.Segments[uint8(lane)] {
			put("segment", lane, segmentPath(uint8(lane), s.Base), "end", s.End, "sealed", s.Sealed, "records", s.Records,
				"max_stored", ms(s.MaxStoreMs), "max_fire", ms(s.MaxFireMs), "created", ms(s.CreatedMs), "last_stored", ms(s.LastStoreMs))
		}
		if upTo, ok := m.IndexedUpTo[uint8(lane)]; ok {
			put("index", lane, "lane", "indexed_up_to", upTo)
		}
		for _, r := range m.Runs[uint8(lane)] {
			put("run", lane, runPath(uint8(lane), r), "entries", r.Count, "min_fire", ms(r.MinFireMs), "max_fire", ms(r.MaxFireMs))
		}
	}
	return t.close()
}
