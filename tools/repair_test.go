package tools

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

// openCopy opens what repair wrote, and closes it with the test.
func openCopy(t *testing.T, dir string) *store.Store {
	s, err := store.Open(dir, fixtureOptions())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// repaired repairs a store and checks that the copy is a good one.
func repaired(t *testing.T, dir string, wantCode int) (copied, report string) {
	copied = filepath.Join(t.TempDir(), "copy")
	code, out, errs := run(t, "repair", dir, "--out", copied, "-o", "csv")
	require.Equal(t, wantCode, code, out+errs)
	code, vout, verrs := run(t, "verify", copied, "-o", "csv")
	require.Equal(t, ExitOK, code, "the copy is not good:\n%s%s%s", vout, verrs, out)
	return copied, out + errs
}

func TestRepairOfAGoodStoreLosesNothing(t *testing.T) {
	f := makeFixture(t, t.TempDir())
	copied, report := repaired(t, f.dir, ExitOK)
	require.Contains(t, report, "7 records copied, 0 of them out of damaged frames; 4 are pending, 3 visible. 0 messages are lost")
	for lane := range uint8(2) {
		want, err := os.ReadFile(filepath.Join(f.dir, segmentPath(lane, 0)))
		require.NoError(t, err)
		got, err := os.ReadFile(filepath.Join(copied, segmentPath(lane, 0)))
		require.NoError(t, err)
		require.Equal(t, want, got, "every frame is where it was")
	}
	m, err := store.ReadManifest(copied)
	require.NoError(t, err)
	require.Equal(t, f.m.Queues, m.Queues)
}

// TestRepairSalvagesEverythingElse damages each file in each way: what was in intact
// frames is in the copy, pending or visible as it was, in the slot that it had.
func TestRepairSalvagesEverythingElse(t *testing.T) {
	t.Parallel()
	f := makeFixture(t, t.TempDir())
	for _, name := range filesOf(t, f.dir) {
		for _, c := range corruptions {
			for seed := range uint64(2) {
				dir := filepath.Join(t.TempDir(), "store")
				damageOneFile(t, f, dir, name, c, seed)
				canLose := strings.HasPrefix(name, store.LogDir) || strings.HasPrefix(name, configDir)
				copied := filepath.Join(t.TempDir(), "copy")
				code, out, errs := run(t, "repair", dir, "--out", copied, "-o", "csv")
				if canLose {
					require.LessOrEqual(t, code, ExitFindings, out+errs)
				} else {
					require.Equal(t, ExitOK, code, "%s of %s, seed %d:\n%s%s", c.name, name, seed, out, errs)
				}
				requireSalvaged(t, f, dir, copied, c.name+" of "+name)
			}
		}
	}
}

// requireSalvaged compares a copy with what can still be read of its original.
func requireSalvaged(t *testing.T, f *fixture, dir, copied, what string) {
	code, out, errs := run(t, "verify", copied, "-o", "csv")
	require.Equal(t, ExitOK, code, "%s: the copy is not good:\n%s%s", what, out, errs)
	intact := map[commitlog.Loc]bool{}
	for lane := range uint8(2) {
		_, err := commitlog.ScanFile(filepath.Join(dir, segmentPath(lane, 0)), commitlog.FileScan{
			Lane: lane, Known: f.m.Segments[lane][0].End, Visit: func(fr commitlog.Frame) error {
				for it := range fr.Items() {
					intact[it.Loc] = true
				}
				return nil
			},
		})
		require.NoError(t, err)
	}
	s := openCopy(t, copied)
	var got [8]store.Delivery
	n, err := s.LookupQueue("orders", 0).Read(0, got[:])
	require.NoError(t, err)
	bySlot := map[int64]commitlog.Loc{}
	for _, d := range got[:n] {
		bySlot[d.Slot] = d.Loc
	}
	for slot, key := range []string{"ORD1", "FIRED", "ORD2"} {
		if intact[f.locs[key]] {
			require.Equal(t, f.locs[key], bySlot[int64(slot)], "%s: slot %d", what, slot)
		}
	}
	pending := int64(0)
	for _, key := range []string{"SOON", "DAY0", "DAY1", "DAY2"} {
		if intact[f.locs[key]] {
			pending++
		}
	}
	// What was salvaged out of a bad frame comes on top.
	require.GreaterOrEqual(t, s.Pending(), pending, what)
	require.LessOrEqual(t, s.Pending(), int64(4), what)
}

func TestRepairRefusesAStoreInUseAndACopyThatIsThere(t *testing.T) {
	dir := t.TempDir()
	makeFixture(t, dir)
	code, _, errs := run(t, "repair", dir, "--out", dir)
	require.Equal(t, ExitUsage, code, errs)
	code, _, errs = run(t, "repair", dir)
	require.Equal(t, ExitUsage, code, errs)
	openCopy(t, dir)
	code, _, errs = run(t, "repair", dir, "--out", filepath.Join(t.TempDir(), "copy"))
	require.Equal(t, ExitLocked, code, errs)
	require.Contains(t, errs, "next: stop the broker")
}
