package tools

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/store"
)

func verifyCommand(e *env) *cobra.Command {
	c := &check{e: e}
	cmd := &cobra.Command{
		Use:   "verify STORE",
		Short: "Check every byte of a store, and that its files agree",
		Long: `Read all files of a store once and check that they are what was written and agree with
each other: checksums, the tiling of the lanes by runs, index against log and cold files,
these against journal and queues, the key index against the keys of all messages, the
figures of segments, retention, files that belong to nobody.

It only reads, and may be run on a store in use. A finding names file and offset, what is
lost, and the next step. Its severity is "lost" (something acknowledged cannot be read or
delivered), "damaged" (a restart or a repair makes it good) or "notice" (nothing is
wrong). The exit code is 1 if there is a finding other than a notice.

Memory is bounded whatever the size of the store. What does not fit is sorted in
temporary files: 40 bytes per visible message beyond a million, in TMPDIR.`,
		Example: `  duelogctl verify ./data
  duelogctl verify /backup/duelog --json`,
		Args: arguments("STORE"),
		RunE: func(cmd *cobra.Command, args []string) error {
			c.dir = args[0]
			return c.verify(cmd.Context())
		},
	}
	cmd.Flags().DurationVar(&c.retention, "retention", store.DefaultRetention, "how long the broker keeps ordinary messages")
	cmd.Flags().DurationVar(&c.scheduledRetention, "scheduled-retention", store.DefaultScheduledRetention, "how long it keeps scheduled ones after their time")
	return cmd
}

func (c *check) verify(ctx context.Context) error {
	start := time.Now()
	c.progress = c.e.progress("verify")
	err := c.run(ctx)
	c.progress.stop()
	if err = finished(ctx, err); err != nil {
		return err
	}
	slices.SortFunc(c.findings, func(a, b finding) int {
		return cmp.Or(cmp.Compare(a.file, b.file), cmp.Compare(a.offset, b.offset), cmp.Compare(a.what, b.what))
	})
	if err := c.e.printFindings(c.findings); err != nil {
		return err
	}
	c.summary(time.Since(start))
	if c.bad() {
		return errFindings
	}
	return nil
}

func (e *env) printFindings(findings []finding) error {
	t := e.table("severity", "check", "file", "offset", "finding", "lost", "next")
	for _, f := range findings {
		st := plain
		switch f.severity {
		case severityLost:
			st = red
		case severityDamaged:
			st = yellow
		}
		t.row(styled{string(f.severity), st}, f.check, f.file, f.offset, f.what, f.lost, f.next)
	}
	return t.close()
}

func (c *check) summary(took time.Duration) {
	verdict := "nothing is wrong"
	if n := len(c.findings); n >= maxFindings {
		verdict = "too many findings; the first are shown"
	} else if n > 0 {
		verdict = "see the findings"
	}
	t := &c.totals
	rate := float64(c.read.Load()) / max(took.Seconds(), 1e-3)
	c.e.note("%d segments, %d cold files, %d runs, %d key runs, %d queues; %d records, %d pending, %d slots, %d firings in the journal: %s (%s in %s, %s/s)",
		t.segments.Load(), t.cold.Load(), t.runs.Load(), t.keyRuns.Load(), t.queues.Load(), t.records.Load(), t.pending.Load(), t.slots.Load(), t.fired.Load(), verdict,
		humanText(byteCount(c.read.Load())), took.Round(time.Millisecond), humanText(byteCount(rate)))
}
