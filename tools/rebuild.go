package tools

import (
	"errors"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/broker"
	"github.com/duelog/duelog/store"
)

func rebuildCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "rebuild STORE",
		Short: "Make the indexes anew from the commit log",
		Long: `Give up what a store derives from its messages and make it anew, in place:

  delay index     all runs, of the records of commit log and cold files that have not fired
  key index       all runs, of the keys in their messages; a store without one gets none
  consume queues  the slots since the last checkpoint, as every start does, of the messages of
                  lane 0 that were due at once and of the firings in the journal. Into which
                  slot an earlier message fired is only in the files of the queue: where they
                  are damaged, duelogctl repair finds out what else tells
  offsets         nothing: how far a consumer group is stands only in config/offsets.json and
                  in its .bak, the content before, which the broker takes by itself

This verb writes: it takes the store's lock, so no broker may have it, and leaves the store as
after a clean stop, which includes that what has come due is fired and its queue slots are
written. It needs 32 bytes of memory per message that waits, and 16 per key.

It may be cut short and run again, or the broker be started instead, which then does the same.
It does not mend the commit log, the journal or the files of the queues: see duelogctl repair.`,
		Example: `  duelogctl rebuild ./data`,
		Args:    arguments("STORE"),
		RunE:    func(_ *cobra.Command, args []string) error { return e.rebuild(args[0]) },
	}
}

func (e *env) rebuild(dir string) error {
	report, err := store.Rebuild(dir, maintenance(dir))
	var locked *store.LockedError
	switch {
	case errors.As(err, &locked):
		return hint(err, "stop the process that has it; a broker rebuilds damaged runs by itself when it starts")
	case errors.Is(err, fs.ErrNotExist):
		return hint(err, "name the data directory of a broker: it has a MANIFEST in it")
	case err != nil:
		return hint(err, "duelogctl verify %s", dir)
	}
	t := e.table("index", "lane", "runs_before", "runs_after", "entries_before", "entries", "made_of")
	for _, r := range report {
		t.row("delay", r.Lane, r.RunsBefore, r.RunsAfter, r.EntriesRead, r.Entries, "the records that wait")
	}
	for _, r := range report {
		if r.KeyRunsBefore+r.KeyRunsAfter > 0 {
			t.row("key", r.Lane, r.KeyRunsBefore, r.KeyRunsAfter, r.KeysRead, r.Keys, "the keys of all messages")
		}
	}
	return t.close()
}

// maintenance returns the options with which a tool opens a store that belongs to a
// broker: nothing of it is deleted, its key index included.
func maintenance(dir string) *store.Options {
	o := store.Maintenance(dir)
	if m, err := store.ReadManifest(dir); err != nil || len(m.KeysUpTo) > 0 { // a new store is as a broker makes it
		o.Keys = broker.Keys
	}
	return o
}
