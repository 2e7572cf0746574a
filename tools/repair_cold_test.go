package tools

import (
	"encoding/csv"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/server/broker"
	"github.com/duelog/duelog/store"
)

// openLater opens what coldStore made, or a copy of it, three hours later.
func openLater(t *testing.T, dir string) (*store.Store, *store.ManualClock) {
	t.Helper()
	m, err := store.ReadManifest(dir)
	require.NoError(t, err)
	clock := store.NewManualClock(time.UnixMilli(max(m.FiredMs, time.Now().UnixMilli())).Add(3 * time.Hour))
	s, err := store.Open(dir, &store.Options{
		SegmentSize: 64 << 10, DelaySegmentSize: 64 << 10, JournalSegmentSize: 64 << 10, FireBatch: 1024, Flush: commitlog.Async, Clock: clock, Keys: broker.Keys,
	})
	require.NoError(t, err)
	return s, clock
}

// fireAll opens a store, lets a year pass, and returns where each message that was
// delivered lies, by its key.
func fireAll(t *testing.T, dir string) map[string]commitlog.Loc {
	t.Helper()
	s, clock := openLater(t, dir)
	defer s.Close()
	clock.Advance(time.Now().Add(366 * 24 * time.Hour))
	require.NoError(t, s.Settle(t.Context()))
	require.Zero(t, s.Pending())
	fired := map[string]commitlog.Loc{}
	for key, d := range deliveriesOf(t, s) {
		fired[key] = d.Loc
	}
	return fired
}

// requireFiredFrom checks that each message fired from where it was.
func requireFiredFrom(t *testing.T, want, fired map[string]commitlog.Loc, what string) {
	t.Helper()
	for key, loc := range want {
		require.Equal(t, loc, fired[key], what)
	}
}

// coldKeys returns where the messages of cold files lie that can be read, by key.
func coldKeys(t *testing.T, dir string, infos []cold.Info) map[string]commitlog.Loc {
	t.Helper()
	keys := map[string]commitlog.Loc{}
	for i := range infos {
		require.NoError(t, eachColdRecord(t.Context(), dir, &infos[i], func(f *cold.File, it *commitlog.Item, err error) error {
			if err != nil {
				return nil
			}
			b, err := f.View(it.Loc.Offset(), it.Size)
			keys[uniqKeyOf(b).(string)] = it.Loc
			return err
		}))
	}
	return keys
}

// repairedCold repairs a store with cold files, checks the copy, and returns it and the
// keys of what is reported lost.
func repairedCold(t *testing.T, dir, what string) (copied string, lost []string, code int) {
	t.Helper()
	copied = filepath.Join(t.TempDir(), "copy")
	code, out, errs := runNow(t, "repair", dir, "--out", copied, "-o", "csv")
	require.LessOrEqual(t, code, ExitFindings, what+out+errs)
	vcode, vout, verrs := runNow(t, "verify", copied)
	require.Equal(t, ExitOK, vcode, "%s: the copy is not good:\n%s%s", what, vout, verrs)
	rows, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	require.NoError(t, err, out)
	for _, row := range rows[min(1, len(rows)):] {
		require.Equal(t, "pending", row[0], what)
		due, err := time.Parse(timeLayout, row[3])
		require.NoError(t, err, what)
		require.True(t, due.After(time.Now()), what)
		lost = append(lost, row[4])
	}
	return copied, lost, code
}

func TestRepairKeepsColdMessagesWhereTheyAre(t *testing.T) {
	dir, m := coldStore(t)
	want := coldKeys(t, dir, m.Cold)
	copied, lost, code := repairedCold(t, dir, "intact")
	require.Equal(t, ExitOK, code)
	require.Empty(t, lost)
	made, err := store.ReadManifest(copied)
	require.NoError(t, err)
	require.Equal(t, m.Cold, made.Cold)
	require.Len(t, made.Runs[store.ColdLane], len(m.Cold))
	fired := fireAll(t, copied)
	require.Len(t, fired, coldMessages)
	requireFiredFrom(t, want, fired, "intact")
}

// TestRepairSalvagesColdFiles damages each part of a cold file in each way: every message
// fires from where it was, or is said to be lost.
func TestRepairSalvagesColdFiles(t *testing.T) {
	t.Parallel()
	original, m := coldStore(t)
	info := m.Cold[0]
	f, err := openCold(original, &info)
	require.NoError(t, err)
	l, err := f.Layout()
	require.NoError(t, err)
	require.NoError(t, f.Close())
	salvaged, all := 0, len(coldKeys(t, original, m.Cold))
	for part, at := range map[string][2]int64{
		"header": {0, 64}, "block header": {64, 104}, "blocks": {104, l.TableAt}, "table": {l.TableAt, l.FooterAt}, "footer": {l.FooterAt, info.FileSize},
	} {
		seeds := uint64(1)
		if part == "blocks" {
			seeds = 2
		}
		for _, c := range corruptions {
			for seed := range seeds {
				what := fmt.Sprintf("%s of the %s, seed %d", c.name, part, seed)
				dir := filepath.Join(t.TempDir(), "store")
				require.NoError(t, os.CopyFS(dir, os.DirFS(original)))
				path := filepath.Join(dir, segmentPath(store.ColdLane, info.Base))
				b, err := os.ReadFile(path)
				require.NoError(t, err)
				rng := rand.New(rand.NewPCG(seed, 11))
				tail := c.do(rng, append([]byte(nil), b[at[0]:]...), int(at[1]-at[0]))
				require.NoError(t, os.WriteFile(path, append(b[:at[0]:at[0]], tail...), 0o644))

				intact := coldKeys(t, dir, m.Cold)
				copied, lost, _ := repairedCold(t, dir, what)
				fired := fireAll(t, copied)
				require.Equal(t, coldMessages, len(fired)+len(lost), what)
				requireFiredFrom(t, intact, fired, what)
				salvaged += all - len(lost) - len(intact)
				require.NoError(t, os.RemoveAll(dir))
				require.NoError(t, os.RemoveAll(copied))
			}
		}
	}
	require.Positive(t, salvaged, "no message was taken out of a damaged block")
}

func TestRepairLeavesCancelledColdMessagesOut(t *testing.T) {
	dir, m := coldStore(t)
	keys := coldKeys(t, dir, m.Cold[:1])
	s, _ := openLater(t, dir)
	cancelled := 0
	for key, loc := range keys {
		if strings.HasSuffix(key, "7") {
			require.NoError(t, s.Cancel(loc))
			cancelled++
		}
	}
	require.NoError(t, s.Close())
	require.Positive(t, cancelled)
	copied, lost, code := repairedCold(t, dir, "cancelled")
	require.Equal(t, ExitOK, code)
	require.Empty(t, lost)
	// Not even if the run is lost, and made anew of the file.
	made, err := store.ReadManifest(copied)
	require.NoError(t, err)
	flip(t, filepath.Join(copied, runPath(store.ColdLane, made.Runs[store.ColdLane][0])), 20) // its header: the start notices
	fired := fireAll(t, copied)
	require.Len(t, fired, coldMessages-cancelled)
	for key, loc := range keys {
		if !strings.HasSuffix(key, "7") {
			require.Equal(t, loc, fired[key])
		}
	}
}

func TestRepairTellsWhatAMissingColdFileHad(t *testing.T) {
	dir, m := coldStore(t)
	had := coldKeys(t, dir, m.Cold[:1])
	require.NoError(t, os.Remove(filepath.Join(dir, segmentPath(store.ColdLane, m.Cold[0].Base))))
	copied, lost, code := repairedCold(t, dir, "missing")
	require.Equal(t, ExitFindings, code)
	require.Len(t, lost, len(had))
	require.Len(t, fireAll(t, copied), coldMessages-len(had))
}

func TestRepairFindsColdFilesWithoutTheManifest(t *testing.T) {
	for name, damage := range map[string]func(t *testing.T, dir string, m *store.Manifest){
		"missing": func(t *testing.T, dir string, _ *store.Manifest) {
			require.NoError(t, os.Remove(filepath.Join(dir, store.ManifestName)))
		},
		"cut short": func(t *testing.T, dir string, m *store.Manifest) { forgetCold(t, dir, m) },
	} {
		t.Run(name, func(t *testing.T) {
			dir, m := coldStore(t)
			want := coldKeys(t, dir, m.Cold)
			damage(t, dir, m)
			copied, lost, _ := repairedCold(t, dir, name)
			require.Empty(t, lost)
			fired := fireAll(t, copied)
			require.Len(t, fired, coldMessages)
			requireFiredFrom(t, want, fired, name)
		})
	}
}

// TestRepairKnowsWhatHasMoved repairs a store with segments of which a part has moved:
// they have messages that the cold files have, too.
func TestRepairKnowsWhatHasMoved(t *testing.T) {
	t.Parallel()
	dir, m := coldStoreAfter(t, 40*24*time.Hour)
	require.NotEmpty(t, m.Cuts)
	want := coldKeys(t, dir, m.Cold)
	whole := filepath.Join(t.TempDir(), "whole")
	require.NoError(t, os.CopyFS(whole, os.DirFS(dir)))
	all := len(fireAll(t, whole))
	require.Greater(t, all, len(want))
	copied, lost, code := repairedCold(t, dir, "cut")
	require.Equal(t, ExitOK, code)
	require.Empty(t, lost)
	made, err := store.ReadManifest(copied)
	require.NoError(t, err)
	require.Equal(t, m.Cuts, made.Cuts)
	flip(t, filepath.Join(copied, runPath(store.FarLane, made.Runs[store.FarLane][0])), 20) // made anew of the segments
	fired := fireAll(t, copied)
	require.Len(t, fired, all)
	requireFiredFrom(t, want, fired, "cut")

	require.NoError(t, os.Remove(filepath.Join(dir, store.ManifestName)))
	copied, _, _ = repairedCold(t, dir, "cut, and no MANIFEST")
	require.Len(t, fireAll(t, copied), all)
}

// forgetCold lets the MANIFEST lose the edits about cold files, but not what it says of
// the segments that they came from.
func forgetCold(t *testing.T, dir string, m *store.Manifest) {
	t.Helper()
	m.Cold = nil
	delete(m.Runs, store.ColdLane)
	require.NoError(t, os.Remove(filepath.Join(dir, store.ManifestName)))
	require.NoError(t, store.WriteManifest(dir, m))
}
