package tools

import (
	"github.com/spf13/cobra"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

func inspectCancel(e *env) *cobra.Command {
	s := &segmentDump{frames: dumpCancels, lane: store.CancelLane, body: "none"}
	cmd := &cobra.Command{
		Use:   "cancel FILE|STORE",
		Short: "What was recalled, in order",
		Long: `Show the cancel log: every record of a message that was recalled, with the location of the
message and its fire time. The last record about a location counts: revoked means that the
message fires after all, for it was taken before the recall was written. A record that was
written anew to free an older segment has no queue and no hash.

--from and --to take offsets in the cancel log, or the times at which records were written.`,
		Example: `  duelogctl inspect cancel ./data --from -10m
  duelogctl inspect cancel ./data --follow -o jsonl`,
		Args: arguments("FILE|STORE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return stopped(cmd.Context(), s.follow, s.run(cmd.Context(), e, args[0]))
		},
	}
	s.flags(cmd, "(of recalling)")
	return cmd
}

// dumpCancels prints a frame of the cancel log.
func dumpCancels(d *dump, off int64, f *commitlog.Frame) {
	d.put(off, "frame", "records", 6, f.Records, "bytes", 8, len(f.Payload), "offset", 16, f.Loc.Offset(), "recalled", 24, ms(f.StoreMs))
	base := off - f.Loc.Offset()
	for it, payload := range f.Items() {
		at := base + it.Loc.Offset() - commitlog.RecordHeaderSize
		loc, revoked, err := store.ParseCancel(payload)
		if err != nil {
			d.damage(at, commitlog.RecordHeaderSize+int64(it.Size), err)
			continue
		}
		kind := "cancelled"
		if revoked {
			kind = "revoked"
		}
		if it.Queue != 0 || it.Key != 0 {
			d.put(at, "recall", "queue", 4, d.names.name(it.Queue), "key_hash", 12, it.Key)
		}
		d.put(at, "recall", "fire", 18, ms(it.When), "loc", commitlog.RecordHeaderSize, loc.String(), "kind", commitlog.RecordHeaderSize+8, kind)
	}
}
