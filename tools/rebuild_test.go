package tools

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/broker"
	"github.com/duelog/duelog/store"
)

// requireByKey checks that the key index leads to every message of cold files.
func requireByKey(t *testing.T, s *store.Store, dir string, m *store.Manifest) {
	t.Helper()
	for key, want := range coldKeys(t, dir, m.Cold) {
		found := false
		hashes := broker.Keys(newFixture(t, "").record(key, true, 0).Payload, nil)
		require.NotEmpty(t, hashes)
		require.NoError(t, s.Lookup(hashes[0], func(loc commitlog.Loc) bool {
			found = found || loc == want
			return true
		}))
		require.True(t, found, key)
	}
}

func TestRebuildMakesBothIndexesAnew(t *testing.T) {
	dir, m := coldStore(t)
	runs := 0
	for _, name := range filesOf(t, dir) {
		if strings.HasPrefix(name, store.IndexDir) || strings.HasPrefix(name, store.KeysDir) {
			require.NoError(t, os.Truncate(filepath.Join(dir, name), 99))
			runs++
		}
	}
	require.Positive(t, runs)
	code, out, errs := runNow(t, "rebuild", dir, "-o", "csv")
	require.Equal(t, ExitOK, code, errs)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	require.NoError(t, err)
	indexes := map[string]bool{}
	for _, row := range rows[1:] {
		indexes[row[0]+" "+row[1]] = true
		if row[0] == "delay" || row[1] == "16" { // the runs of lane 3 had the keys of what has moved, too
			require.Equal(t, row[4], row[5], "as many entries as before: %v", row)
		}
	}
	require.True(t, indexes["delay 16"] && indexes["key 16"] && indexes["key 3"], out)

	code, out, errs = runNow(t, "verify", dir)
	require.Equal(t, ExitOK, code, out+errs)
	s, _ := openLater(t, dir)
	requireByKey(t, s, dir, m)
	require.NoError(t, s.Close())
	require.Len(t, fireAll(t, dir), coldMessages)
}

func TestTheCopyOfRepairHasAKeyIndexWithItsFirstStart(t *testing.T) {
	dir, m := coldStore(t)
	copied, _, _ := repairedCold(t, dir, "intact")
	s, _ := openLater(t, copied)
	requireByKey(t, s, dir, m)
	require.NoError(t, s.Close())
	code, out, errs := runNow(t, "verify", copied)
	require.Equal(t, ExitOK, code, out+errs)
}

func TestAnImportLeavesTheKeyIndexAlone(t *testing.T) {
	dir, before := coldStore(t)
	path := filepath.Join(t.TempDir(), "export")
	code, _, errs := runNow(t, "export", dir, "--file", path)
	require.Equal(t, ExitOK, code, errs)
	code, _, errs = runNow(t, "import", path, "--store", dir, "--skip-existing")
	require.Equal(t, ExitOK, code, errs)
	after, err := store.ReadManifest(dir)
	require.NoError(t, err)
	require.NotEmpty(t, before.KeysUpTo)
	for lane, runs := range before.KeyRuns {
		require.Subset(t, after.KeyRuns[lane], runs)
	}
}
