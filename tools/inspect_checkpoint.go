package tools

import (
	"github.com/spf13/cobra"

	"github.com/duelog/duelog/store"
)

func inspectCheckpoint(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "checkpoint FILE|STORE",
		Short: "Where recovery would start, and how much it would read",
		Long: `Show for each lane up to where its index reaches, up to where everything due is done, and
how many bytes the next start would scan, as far as the MANIFEST knows; what was
appended after its last edit comes on top.`,
		Example: `  duelogctl inspect checkpoint ./data`,
		Args:    arguments("FILE|STORE"),
		RunE: func(_ *cobra.Command, args []string) error {
			return e.checkpoint(storeOf(args[0], store.ManifestName))
		},
	}
}

func (e *env) checkpoint(dir string) error {
	m, err := readManifest(dir)
	if err != nil {
		return err
	}
	lanes, err := listLanes(dir, m)
	if err != nil {
		return err
	}
	e.heading("everything due up to %s is done", humanText(ms(m.FiredMs)))
	t := e.table("lane", "segments", "end", "indexed_up_to", "done_up_to", "replay_from", "scan_bytes", "runs", "run_entries")
	for _, lane := range lanes {
		end, segs := int64(0), m.Segments[lane]
		for _, s := range segs {
			end = max(end, s.End)
		}
		from := m.IndexedUpTo[lane]
		var replay, done any
		if lane == 0 {
			replay, from = m.ReplayLane0, min(from, m.ReplayLane0)
		}
		if int(lane) < len(m.Absorbed) {
			done = m.Absorbed[lane]
		}
		entries := int64(0)
		for _, r := range m.Runs[lane] {
			entries += r.Count
		}
		t.row(lane, len(segs), end, m.IndexedUpTo[lane], done, replay, byteCount(max(end-from, 0)), len(m.Runs[lane]), entries)
	}
	end := int64(0)
	for _, s := range m.Segments[journalLane] {
		end = max(end, s.End)
	}
	t.row("journal", len(m.Segments[journalLane]), end, nil, nil, m.ReplayJournal, byteCount(max(end-m.ReplayJournal, 0)), nil, nil)
	return t.close()
}
