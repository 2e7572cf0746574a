package tools

import (
	"errors"
	"io/fs"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/store"
)

func rebuildCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "rebuild STORE",
		Short: "Make the delay index anew from the commit log",
		Long: `Give up the runs of the delay index and make them anew from the commit log, in place. This verb
writes: it takes the store's lock, so no broker may have it, and leaves the store as after a
clean stop, which includes that what has come due is fired and its queue slots are written.
It needs 32 bytes of memory per message that waits.

It may be cut short and run again, or the broker be started instead, which then does the same.
It does not mend the commit log, the journal or the files of the queues: see duelogctl repair.`,
		Example: `  duelogctl rebuild ./data`,
		Args:    arguments("STORE"),
		RunE:    func(_ *cobra.Command, args []string) error { return e.rebuild(args[0]) },
	}
}

func (e *env) rebuild(dir string) error {
	report, err := store.Rebuild(dir, store.Maintenance(dir))
	var locked *store.LockedError
	switch {
	case errors.As(err, &locked):
		return hint(err, "stop the process that has it; a broker rebuilds damaged runs by itself when it starts")
	case errors.Is(err, fs.ErrNotExist):
		return hint(err, "name the data directory of a broker: it has a MANIFEST in it")
	case err != nil:
		return hint(err, "duelogctl verify %s", dir)
	}
	t := e.table("lane", "runs_before", "runs_after", "entries_before", "pending")
	for _, r := range report {
		t.row(r.Lane, r.RunsBefore, r.RunsAfter, r.EntriesRead, r.Entries)
	}
	return t.close()
}
