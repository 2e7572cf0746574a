package tools

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/keyindex"
	"github.com/duelog/duelog/server/broker"
	"github.com/duelog/duelog/store"
)

// makeRecalledWithKeys is makeRecalled with a key index, which still leads to where GONE was.
func makeRecalledWithKeys(t failer, dir string) *fixture {
	return fixtureWith(t, dir, func(f *fixture) {
		due := fixtureStart + 13*3600_000
		gone, day1 := commitlog.MakeLoc(3, 456), f.recalled("DAY1", f.locs["DAY1"], fixtureStart+11*3600_000, false)
		f.recall(1, day1, f.recalled("GONE", gone, due, false))
		f.writeLane(store.CancelLane, 2, due)
		f.writeKeys()
		require.NoError(t, os.MkdirAll(filepath.Join(dir, store.LogDir, "3"), 0o755)) // its segment was given back
		f.writeKeyEntries(3, 1000, []keyindex.Entry{
			{Hash: broker.KeyHash("orders", "GONE"), Loc: uint64(gone)}, {Hash: broker.KeyHash("orders", "k-GONE"), Loc: uint64(gone)},
		})
	})
}

// The recall has no KEYS: the key index leads to it.
func TestFindByKeysTellsARecalledMessageWithoutARecord(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	makeRecalledWithKeys(t, dir)
	for _, args := range [][]string{{"k-GONE"}, {"k-GONE", "--topic", "orders"}, {"GONE"}} {
		code, out, errs := run(t, append([]string{"find", args[0], dir, "-o", "csv"}, args[1:]...)...)
		require.Equal(t, ExitOK, code, errs)
		require.Contains(t, out, "\n"+args[0]+",3:456,orders/0,cancelled,2026-11-23T06:00:01.000Z,cancel/00000000000000000000,65,"+
			"it was due 2026-11-23T19:00:00.000Z; its record is gone; the key index knows it by this key,recall\n")
		require.Equal(t, 1, countRows(t, "csv", out))
	}
	code, out, _ := run(t, "find", "k-GONE", dir, "--topic", "mails")
	require.Equal(t, ExitFindings, code, out)
	code, _, errs := run(t, "find", "k-GONE", dir, "--scan")
	require.Equal(t, ExitFindings, code)
	require.Contains(t, errs, "one of which only its recall is left is found by its UNIQ_KEY or location")
}

// The record of a recalled message is there, and damaged: in its bytes, or in its keys.
func TestFindTellsARecalledMessageWhoseRecordIsDamaged(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct{ old, with, says string }{
		"body": {`{"order":"DAY1"}`, `{"order":"DAYx"}`, "its record was given back or is damaged"},
		"keys": {"k-DAY1", "k-DAYx", "what its record says is wrong: the checksum of its frame is"},
	} {
		dir := filepath.Join(t.TempDir(), name)
		f := makeRecalledWithKeys(t, dir)
		overwriteIn(t, filepath.Join(dir, segmentPath(1, 0)), x.old, x.with)
		code, out, errs := run(t, "find", "k-DAY1", dir, "-o", "csv")
		require.Equal(t, ExitOK, code, "%s: %s", name, errs)
		require.Contains(t, out, "\nk-DAY1,"+f.locs["DAY1"].String()+",orders/0,cancelled,2026-11-23T06:00:01.000Z,cancel/00000000000000000000,32,"+
			"it was due 2026-11-23T17:00:00.000Z; "+x.says+"; the key index knows it by this key,recall\n", name)
	}
	// By the id alone, without an index: the hash of it in the recall is enough.
	dir := t.TempDir()
	f := makeRecalled(t, dir)
	overwriteIn(t, filepath.Join(dir, segmentPath(1, 0)), "UNIQ_KEY\x01DAY1", "UNIQ_KEY\x01DAYx")
	code, out, errs := run(t, "find", "DAY1", dir, "-o", "csv")
	require.Equal(t, ExitOK, code, errs)
	require.Contains(t, out, "\nDAY1,"+f.locs["DAY1"].String()+",orders/0,cancelled,")
	require.Contains(t, out, "; what its record says is wrong: the checksum of its frame is,recall\n")
}
