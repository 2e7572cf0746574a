package tools

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/store"
)

// Nothing is written into what a verb reads.
func TestVerbsDoNotWriteIntoWhatTheyRead(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	dir, link := filepath.Join(top, "data"), filepath.Join(top, "link")
	makeFixture(t, dir)
	require.NoError(t, os.Symlink("data", link))
	before := filesOf(t, dir)
	rocketmq := filepath.Join(top, "rocketmq")
	rocketmqFixtureAt(t, rocketmq).write(nil)
	for _, args := range [][]string{
		{"repair", dir, "--out", dir},
		{"repair", dir, "--out", filepath.Join(dir, "sub")},
		{"repair", dir, "--out", filepath.Join(link, "sub", "er")},
		{"repair", link, "--out", filepath.Join(dir, store.LogDir, "..", "sub")},
		{"repair", dir, "--out", top}, // which has the store in it
		{"export", dir, "--file", filepath.Join(dir, store.ManifestName)},
		{"export", link, "--file", filepath.Join(dir, "new.jsonl")},
		{"export", dir, "--file", filepath.Join(link, "new.jsonl.zst")},
		{"import-rocketmq", rocketmq, "--store", rocketmq},
		{"import-rocketmq", rocketmq, "--store", filepath.Join(rocketmq, "new")},
	} {
		code, out, errs := run(t, args...)
		require.Equal(t, ExitUsage, code, "%v: %s", args, errs)
		require.Empty(t, out, args)
		require.Contains(t, errs, "\nnext: ", args)
	}
	require.Equal(t, before, filesOf(t, dir))
	code, out, errs := run(t, "verify", dir)
	require.Equal(t, ExitOK, code, out+errs)
}
