package tools

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/consumequeue"
	"github.com/duelog/duelog/store"
)

func inspectQueue(e *env) *cobra.Command {
	var sp span
	var topic string
	cmd := &cobra.Command{
		Use:   "queue FILE|STORE",
		Short: "The slots of consume queues",
		Long: `Show the entries of a consume-queue file, or of all queues of a store, slot by slot. What
the files hold beyond the checkpoint of the store is shown too; a restart writes it anew.

--from and --to take slots, or the times at which messages became visible.`,
		Example: `  duelogctl inspect queue ./data --topic orders --from -1h`,
		Args:    arguments("FILE|STORE"),
		RunE: func(_ *cobra.Command, args []string) error {
			if err := sp.parse(e.now()); err != nil {
				return err
			}
			return e.dumpQueues(args[0], topic, &sp)
		},
	}
	cmd.Flags().StringVar(&topic, "topic", "", "only this `topic`")
	sp.flags(cmd, "slot", "(of becoming visible)")
	return cmd
}

func (e *env) dumpQueues(arg, topic string, sp *span) error {
	return e.dumpFiles(arg, &dumpOf{
		verbs: []string{"queue"}, depth: 4, body: "none", none: "no queue has such a slot in its files",
		one: func(d *dump, t *target) error { return d.oneQueueFile(t, sp) },
		all: func(d *dump, t *target) error { return d.queueFiles(t, topic, sp) },
	})
}

// oneQueueFile prints the file that was named.
func (d *dump) oneQueueFile(t *target, sp *span) error {
	base, ok := parseSegmentName(filepath.Base(t.file))
	if !ok || base%consumequeue.EntrySize != 0 {
		return usagef("%s is not a file of a consume queue: its name is not 20 digits, a multiple of %d", t.file, consumequeue.EntrySize)
	}
	return d.queueFile(t, t.file, base/consumequeue.EntrySize, sp)
}

// queueFiles prints the files of all queues, or of those of one topic.
func (d *dump) queueFiles(t *target, topic string, sp *span) error {
	dir := filepath.Join(t.store, store.ConsumeQueueDir)
	entries, err := consumequeue.ReadFormat(dir)
	if err != nil && !(errors.Is(err, fs.ErrNotExist) && len(t.m.Queues) == 0) {
		return hint(err, "duelogctl repair %s --out COPY", t.store)
	}
	for _, q := range t.m.Queues {
		if topic != "" && q.Topic != topic {
			continue
		}
		sub := filepath.Join(dir, q.Topic, strconv.Itoa(int(q.Num)))
		bases, err := consumequeue.ListFiles(sub, entries)
		if err != nil {
			return err
		}
		for _, base := range bases {
			if err := d.queueFile(t, filepath.Join(sub, consumequeue.FileName(base)), base, sp); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return err
			}
		}
	}
	return nil
}

// queueFile prints one file of a queue, whose first slot is base.
func (d *dump) queueFile(t *target, path string, base int64, sp *span) error {
	if _, err := os.Stat(path); err != nil {
		return err
	}
	d.file = relative(t.store, path)
	err := consumequeue.ScanFile(path, base, base, func(slot int64, q consumequeue.Entry, err error) bool {
		off := (slot - base) * consumequeue.EntrySize
		switch {
		case err != nil:
			if sp.has(slot, sp.lo) {
				d.damage(off, consumequeue.EntrySize, err)
			}
		case sp.has(slot, q.DeliverMs):
			d.put(off, "slot", "slot", 0, slot, "loc", 0, commitlog.Loc(q.Loc).String(), "size", 8, q.Size,
				"kind", 12, queueFlags(q.Flags), "tag_hash", 16, q.Tag, "visible", 24, ms(q.DeliverMs))
		}
		return d.e.out.bad == nil
	})
	if err != nil {
		return fmt.Errorf("look into queue: %w", err)
	}
	return nil
}

func queueFlags(flags uint16) string {
	switch {
	case flags&consumequeue.FlagVoid != 0:
		return "void"
	case flags&consumequeue.FlagScheduled != 0:
		return "scheduled"
	default:
		return "ordinary"
	}
}
