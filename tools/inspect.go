package tools

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

// inspectVerbs are the things that inspect can show.
var inspectVerbs = []func(*env) *cobra.Command{
	inspectManifest, inspectCheckpoint, inspectSegment, inspectCold, inspectRun, inspectKeys, inspectJournal, inspectCancel, inspectQueue, inspectOffsets, inspectIndex,
}

func inspectCommand(e *env) *cobra.Command {
	cmd := &cobra.Command{
		Use:   "inspect",
		Short: "Show what the files of a store hold, byte by byte or counted",
		Long: `Show what the files of a store hold. Each kind of file has its own verb; all of them
take a STORE, and where it makes sense a single FILE of one. They only read.`,
		Args: unknownVerb,
		RunE: verbMissing,
	}
	for _, verb := range inspectVerbs {
		cmd.AddCommand(verb(e))
	}
	return cmd
}

// dumpOf is a dump of what FILE|STORE means to a verb of inspect.
type dumpOf struct {
	verbs []string                       // whose files it shows
	depth int                            // directories from a file up to its store
	body  string                         // --body
	none  string                         // what people are told if there is nothing to show
	one   func(d *dump, t *target) error // shows the file that is named
	all   func(d *dump, t *target) error // shows all of the store
}

// dumpFiles prints it.
func (e *env) dumpFiles(arg string, o *dumpOf) error {
	t, err := findTarget(arg, o.depth)
	if err != nil {
		return err
	}
	if err := t.isFor(o.verbs...); err != nil {
		return err
	}
	d := e.dump(o.body, namesOf(t.m))
	d.t.orSay("nothing to show: %s", o.none)
	show := o.all
	if t.file != "" {
		show = o.one
	}
	if err := show(d, t); err != nil {
		return err
	}
	return d.close()
}

// storeOf is the store that FILE|STORE means, for verbs that show one file of it, which
// has this name in a store.
func storeOf(arg, name string) string {
	if st, err := os.Stat(arg); err != nil || st.IsDir() {
		return arg
	}
	if path := "./" + filepath.Clean(arg); strings.HasSuffix(path, "/"+name) {
		return filepath.Clean(strings.TrimSuffix(filepath.Clean(arg), name) + ".")
	}
	return arg
}

// readManifest reads the MANIFEST of the store in dir, and says what to do if
// that does not work.
func readManifest(dir string) (*store.Manifest, error) {
	if st, err := os.Stat(dir); err == nil && !st.IsDir() {
		return nil, hint(usagef("%s is a file, not a store", dir), "give the directory that has the MANIFEST in it")
	}
	m, err := store.ReadManifest(dir)
	return m, manifestHint(dir, err)
}

func manifestHint(dir string, err error) error {
	var damaged *commitlog.CorruptionError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, fs.ErrNotExist):
		return noStore(dir, err)
	case errors.Is(err, commitlog.ErrVersion):
		return hint(err, "use the duelogctl of the release that wrote it")
	case errors.As(err, &damaged):
		return hint(err, "duelogctl repair %s --out COPY", dir)
	}
	return err
}

// noStore tells a directory that is no store from a store without its MANIFEST.
func noStore(dir string, err error) error {
	if _, serr := os.Stat(dir); serr != nil {
		return hint(fmt.Errorf("look into store: %w", serr), "give the data directory of a broker (setting data), or a copy of it")
	}
	if _, serr := os.Stat(filepath.Join(dir, store.LogDir)); serr != nil {
		return hint(usagef("%s is not a store: it has neither %s nor %s", dir, store.ManifestName, store.LogDir),
			"give the data directory of a broker (setting data), or a copy of it")
	}
	return hint(fmt.Errorf("look into store %s: %w", dir, err), "put the MANIFEST back from a copy, or: duelogctl repair %s --out COPY", dir)
}
