package tools

import (
	"encoding/csv"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"github.com/stretchr/testify/require"
	"go.yaml.in/yaml/v3"

	"github.com/duelog/duelog/store"
)

// eachLeaf visits the verbs that do something.
func eachLeaf(t *testing.T, visit func(cmd *cobra.Command)) {
	t.Helper()
	n := 0
	require.NoError(t, eachVerb(newRoot(newEnv(Process{Out: t.Output(), Err: t.Output()})), func(cmd *cobra.Command) error {
		if !cmd.HasSubCommands() && cmd.Parent().Name() != "completion" {
			visit(cmd)
			n++
		}
		return nil
	}))
	require.Greater(t, n, 30)
}

func TestEveryVerbExplainsItself(t *testing.T) {
	eachLeaf(t, func(cmd *cobra.Command) {
		name := cmd.CommandPath()
		require.NotEmpty(t, cmd.Short, name)
		require.False(t, strings.HasSuffix(cmd.Short, "."), name)
		require.Contains(t, cmd.Example, name, "an example of %s", name)
		for line := range strings.Lines(cmd.Long) {
			require.LessOrEqual(t, len(strings.TrimRight(line, "\n")), 100, "%s: %s", name, line)
		}
		cmd.LocalFlags().VisitAll(func(f *pflag.Flag) { require.NotEmpty(t, f.Usage, "%s --%s", name, f.Name) })
	})
}

// Each example begins like a command line that the verb takes: with its flags.
func TestExamplesUseFlagsThatThereAre(t *testing.T) {
	eachLeaf(t, func(cmd *cobra.Command) {
		for line := range strings.Lines(cmd.Example) {
			line, _, _ = strings.Cut(line, " | ")
			for word := range strings.FieldsSeq(line) {
				name, ok := strings.CutPrefix(word, "--")
				if name, _, _ = strings.Cut(name, "="); !ok || strings.Contains(line, "duelogctl") && !strings.Contains(line, cmd.CommandPath()+" ") {
					continue
				}
				require.NotNil(t, cmd.Flag(name), "%s", line)
			}
		}
	})
}

func TestErrorsNameTheHelpOfTheirVerb(t *testing.T) {
	dir := t.TempDir()
	makeRecalled(t, dir)
	for _, x := range []struct {
		next string
		args []string
	}{
		{"duelogctl verify", []string{"verfy", dir}},
		{"duelogctl inspect segment", []string{"inspect", "segmnt", dir}},
		{"duelogctl --help", []string{"nonsense"}},
		{"duelogctl inspect --help", []string{"inspect", "nonsense"}},
		{"duelogctl completion --help", []string{"completion", "nonsense"}},
		{"duelogctl inspect index --help", []string{"inspect", "index", dir, "--from", "12"}},
		{"duelogctl inspect segment --help", []string{"inspect", "segment", dir, "--lane", "300"}},
		{"duelogctl inspect cold " + dir, []string{"inspect", "segment", dir, "--lane", "16"}},
		{"duelogctl inspect segment ", []string{"inspect", "journal", filepath.Join(dir, segmentPath(0, 0))}},
		{"duelogctl inspect cancel ", []string{"inspect", "journal", filepath.Join(dir, segmentPath(store.CancelLane, 0))}},
		{"duelogctl inspect cancel ", []string{"inspect", "segment", filepath.Join(dir, segmentPath(store.CancelLane, 0))}},
		{"duelogctl inspect journal ", []string{"inspect", "cancel", filepath.Join(dir, segmentPath(store.JournalLane, 0))}},
		{"duelogctl inspect segment --help", []string{"inspect", "segment", dir, "--lane", "77"}},
		{"give the directory that has the MANIFEST", []string{"find", "x", filepath.Join(dir, store.ManifestName)}},
		{"give the directory that has the MANIFEST", []string{"inspect", "manifest", filepath.Join(dir, "config", "offsets.json")}},
		{"duelogctl space --help", []string{"space", dir, "--by", "year"}},
		{"duelogctl man --help", []string{"man"}},
	} {
		code, out, errs := run(t, x.args...)
		require.Equal(t, ExitUsage, code, "%v: %s", x.args, errs)
		require.Empty(t, out, x.args)
		require.Contains(t, errs, "\nnext: "+x.next, x.args)
	}
}

// A file of a store may be named instead of the store, where a verb shows just it.
func TestInspectTakesAFileForItsStore(t *testing.T) {
	dir := t.TempDir()
	makeFixture(t, dir)
	for verb, file := range map[string]string{
		"manifest": store.ManifestName, "checkpoint": store.ManifestName, "offsets": "config/offsets.json",
	} {
		_, want, _ := run(t, "inspect", verb, dir, "-o", "csv")
		code, got, errs := run(t, "inspect", verb, filepath.Join(dir, file), "-o", "csv")
		require.Equal(t, ExitOK, code, errs)
		require.Equal(t, want, got)
	}
}

func TestVerbsThatNeedAStoreForThemselvesRefuseOneInUse(t *testing.T) {
	dir := t.TempDir()
	s, err := store.Open(dir, &store.Options{SegmentSize: 1 << 20, DelaySegmentSize: 1 << 20, JournalSegmentSize: 1 << 20, FireBatch: 1024})
	require.NoError(t, err)
	defer s.Close()
	q, err := s.Queue("orders", 0)
	require.NoError(t, err)
	_, err = s.Put(t.Context(), &store.Message{Queue: q, Payload: []byte("x")})
	require.NoError(t, err)
	export := filepath.Join(t.TempDir(), "export")
	code, _, errs := run(t, "export", dir, "--file", export)
	require.Equal(t, ExitOK, code, errs)
	for _, args := range [][]string{
		{"rebuild", dir},
		{"repair", dir, "--out", filepath.Join(t.TempDir(), "copy")},
		{"import", export, "--store", dir},
	} {
		code, _, errs := run(t, args...)
		require.Equal(t, ExitLocked, code, "%v: %s", args, errs)
		require.Contains(t, errs, "\nnext: ", args)
	}
}

func TestEveryVerbHasAManualPage(t *testing.T) {
	dir := t.TempDir()
	code, _, errs := run(t, "man", "--dir", dir)
	require.Equal(t, ExitOK, code, errs)
	eachLeaf(t, func(cmd *cobra.Command) {
		b, err := os.ReadFile(filepath.Join(dir, manName(cmd)+".1"))
		require.NoError(t, err)
		for _, section := range []string{"NAME", "SYNOPSIS", "DESCRIPTION", "COMMON OPTIONS", "EXAMPLES", "EXIT STATUS", "SEE ALSO"} {
			require.Contains(t, string(b), ".SH "+section+"\n", cmd.CommandPath())
		}
	})
}

// Every verb that reads a store offline prints the same rows in every form.
func TestEveryOfflineVerbPrintsEveryForm(t *testing.T) {
	dir := t.TempDir()
	makeFixture(t, dir)
	for _, verb := range [][]string{
		{"inspect", "manifest", dir},
		{"inspect", "manifest", dir, "--history"},
		{"inspect", "checkpoint", dir},
		{"inspect", "segment", dir},
		{"inspect", "cold", dir},
		{"inspect", "run", dir},
		{"inspect", "keys", dir},
		{"inspect", "journal", dir},
		{"inspect", "cancel", dir},
		{"inspect", "queue", dir},
		{"inspect", "offsets", dir},
		{"inspect", "index", dir},
		{"find", "k-FIRED", dir},
		{"verify", dir},
		{"space", dir},
		{"space", dir, "--by", "kind"},
		{"version"},
	} {
		rows := map[string]int{}
		for _, form := range formats {
			code, out, errs := run(t, append(verb, "-o", form, "--quiet")...)
			require.Equal(t, ExitOK, code, "%v: %s", verb, errs)
			require.Empty(t, errs, "%v --quiet", verb)
			rows[form] = countRows(t, form, out)
		}
		if verb[0] != "version" { // a line for people
			require.Equal(t, rows["jsonl"], rows["table"], verb)
		}
		require.Equal(t, rows["jsonl"], rows["json"], verb)
		require.Equal(t, rows["jsonl"], rows["yaml"], verb)
		require.Equal(t, rows["jsonl"], rows["csv"], verb)
	}
}

// countRows counts the rows of an output.
func countRows(t *testing.T, form, out string) int {
	t.Helper()
	switch form {
	case "json":
		var rows []map[string]any
		require.NoError(t, json.Unmarshal([]byte(out), &rows))
		return len(rows)
	case "yaml":
		var rows []map[string]any
		require.NoError(t, yaml.Unmarshal([]byte(out), &rows))
		return len(rows)
	case "csv":
		rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
		require.NoError(t, err)
		return len(rows) - 1
	}
	return strings.Count(out, "\n")
}
