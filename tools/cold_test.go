package tools

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/commitlog/cold"
	"github.com/duelog/duelog/server/broker"
	"github.com/duelog/duelog/store"
)

// coldMessages is how many messages coldStore has; those of two segments and a bit.
const coldMessages = 1200

// coldStore makes a store whose messages wait for months, most of them in cold files.
func coldStore(t *testing.T) (dir string, m *store.Manifest) {
	t.Helper()
	return coldStoreAfter(t, 2*time.Hour)
}

// coldStoreAfter lets that much time pass before messages move to cold files.
func coldStoreAfter(t *testing.T, d time.Duration) (dir string, m *store.Manifest) {
	t.Helper()
	dir = filepath.Join(t.TempDir(), "store")
	return dir, makeCold(t, dir, time.Now(), d, coldMessages)
}

// makeCold is coldStoreAfter at dir, as of start; the messages of these numbers are
// recalled before they would move.
func makeCold(t failer, dir string, start time.Time, d time.Duration, messages int, recalled ...int) *store.Manifest {
	ctx := context.Background()
	clock := store.NewManualClock(start)
	s, err := store.Open(dir, &store.Options{
		SegmentSize: 64 << 10, DelaySegmentSize: 64 << 10, JournalSegmentSize: 64 << 10, FireBatch: 1024, Flush: commitlog.Async,
		Clock: clock, EvacuateAfter: time.Hour, Keys: broker.Keys,
	})
	require.NoError(t, err)
	q, err := s.Queue("orders", 0)
	require.NoError(t, err)
	f := newFixture(t, "")
	for i := range messages {
		fire := start.Add(time.Duration(30+i*7919%170) * 24 * time.Hour).UnixMilli()
		r := f.record(fmt.Sprintf("FAR%04d", i), true, fire)
		it, err := s.Put(ctx, &store.Message{Queue: q, FireMs: fire, Tag: r.Tag, Key: r.Key, Payload: r.Payload, Keys: broker.Keys(r.Payload, nil)})
		require.NoError(t, err)
		if slices.Contains(recalled, i) {
			require.NoError(t, s.Cancel(it.Loc))
		}
	}
	clock.Advance(start.Add(d))
	require.NoError(t, s.Settle(ctx))
	require.NoError(t, s.Maintain(ctx))
	require.NoError(t, s.Close())
	m, err := store.ReadManifest(dir)
	require.NoError(t, err)
	require.NotEmpty(t, m.Cold)
	return m
}

// exported reads the messages of an export: due, id and body of each.
func exported(t *testing.T, path string) (lines []string) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	for line := range strings.Lines(string(b)) {
		var x exportedMessage
		require.NoError(t, json.Unmarshal([]byte(line), &x))
		if x.ID != "" {
			lines = append(lines, fmt.Sprintf("%d %s %s", x.DueMs, x.ID, *x.Body))
		}
	}
	return lines
}

func TestColdMessagesAreExportedAndComeBack(t *testing.T) {
	t.Parallel()
	dir, _ := coldStore(t)
	first, second := filepath.Join(t.TempDir(), "first"), filepath.Join(t.TempDir(), "second")
	code, _, errs := runNow(t, "export", dir, "--file", first)
	require.Equal(t, ExitOK, code, errs)
	want := exported(t, first)
	require.Len(t, want, coldMessages)

	other := filepath.Join(t.TempDir(), "other")
	code, _, errs = runNow(t, "import", first, "--store", other, "--segment-size", "1048576")
	require.Equal(t, ExitOK, code, errs)
	code, _, errs = runNow(t, "export", other, "--file", second)
	require.Equal(t, ExitOK, code, errs)
	require.ElementsMatch(t, want, exported(t, second))
}

func TestAStoreWithColdFilesIsFoundWell(t *testing.T) {
	dir, _ := coldStore(t)
	code, out, errs := runNow(t, "verify", dir)
	require.Equal(t, ExitOK, code, out+errs)
	require.Empty(t, out)
	require.Contains(t, errs, fmt.Sprintf("%d pending", coldMessages))
	require.Contains(t, errs, "nothing is wrong")
}

func TestFindTellsOfColdMessages(t *testing.T) {
	t.Parallel()
	dir, m := coldStore(t)
	info := m.Cold[1]
	f, err := openCold(dir, &info)
	require.NoError(t, err)
	var last commitlog.Item
	for last, err = range f.Records() {
		require.NoError(t, err)
	}
	b, err := f.View(last.Loc.Offset(), last.Size)
	require.NoError(t, err)
	block, _ := f.Block(last.Loc.Offset())
	id := uniqKeyOf(b).(string)
	require.NoError(t, f.Close())

	for _, what := range []string{id, "k-" + id, last.Loc.String()} {
		code, out, errs := runNow(t, "find", what, dir, "-o", "csv")
		require.Equal(t, ExitOK, code, errs)
		require.Contains(t, out, fmt.Sprintf("%s,%s,orders/0,accepted,", id, last.Loc))
		require.Contains(t, out, fmt.Sprintf(",%s,%d,%d bytes", segmentPath(store.ColdLane, info.Base), block.Offset, last.Size))
		require.Contains(t, out, fmt.Sprintf("%s,%s,orders/0,moved,", id, last.Loc))
		require.Contains(t, out, ",indexed,,delayindex/16/")
		require.Contains(t, out, ",pending,"+time.UnixMilli(last.When).UTC().Format(timeLayout)+",")
	}
	for _, what := range []string{id, "k-" + id} {
		_, indexed, errs := runNow(t, "find", what, dir, "-o", "csv")
		require.Contains(t, indexed, ",index\n", errs)
		require.NotContains(t, errs, "lane 16", "all of it is in runs")
		_, scanned, errs := runNow(t, "find", what, dir, "-o", "csv", "--scan")
		require.Contains(t, errs, "reading all of the log")
		require.Equal(t, strings.ReplaceAll(indexed, ",index\n", ",scan\n"), scanned)
	}
}

// flip changes a byte of a file.
func flip(t *testing.T, path string, at int64) {
	t.Helper()
	b, err := os.ReadFile(path)
	require.NoError(t, err)
	b[at] ^= 1
	require.NoError(t, os.WriteFile(path, b, 0o644))
}

// verdicts are the findings of verify.
func verdicts(t *testing.T, dir string, flags ...string) (code int, out []map[string]any) {
	t.Helper()
	code, text, errs := runNow(t, append([]string{"verify", dir, "--json"}, flags...)...)
	require.NoError(t, json.Unmarshal([]byte(text), &out), errs)
	return code, out
}

func TestAByteThatChangedInAColdFileIsFound(t *testing.T) {
	t.Parallel()
	dir, m := coldStore(t)
	info := m.Cold[0]
	name := segmentPath(store.ColdLane, info.Base)
	f, err := openCold(dir, &info)
	require.NoError(t, err)
	block, ok := f.Block(info.Base)
	require.True(t, ok)
	lost := 0
	for it := range f.Records() {
		if it.Loc.Offset() < block.To {
			lost++
		}
	}
	require.NoError(t, f.Close())
	flip(t, filepath.Join(dir, name), block.Offset+100)

	code, found := verdicts(t, dir)
	require.Equal(t, ExitFindings, code)
	require.Len(t, found, 1)
	require.Equal(t, "lost", found[0]["severity"])
	require.Equal(t, "cold", found[0]["check"])
	require.Equal(t, name, found[0]["file"])
	require.EqualValues(t, block.Offset, found[0]["offset"])
	require.Contains(t, found[0]["lost"], fmt.Sprintf("%d pending messages due ", lost))
	require.Contains(t, found[0]["next"], "duelogctl repair "+dir)

	path := filepath.Join(t.TempDir(), "rest")
	code, _, errs := runNow(t, "export", dir, "--file", path)
	require.Equal(t, ExitFindings, code)
	require.Contains(t, errs, fmt.Sprintf("%d messages cannot be read", lost))
	require.Len(t, exported(t, path), coldMessages-lost)
}

func TestVerifyFindsWhatIsWrongWithColdFiles(t *testing.T) {
	type damage func(t *testing.T, dir string, m *store.Manifest, path string)
	for name, x := range map[string]struct {
		do                             damage
		severity, check, finding, lost string
	}{
		"missing": {
			func(t *testing.T, _ string, _ *store.Manifest, path string) { require.NoError(t, os.Remove(path)) },
			"lost", "segment", "registered, but not on disk", " records",
		},
		"header": {
			func(t *testing.T, _ string, _ *store.Manifest, path string) { flip(t, path, 25) },
			"damaged", "cold", "header or block table: ", "nothing: the blocks",
		},
		"table": {
			func(t *testing.T, _ string, m *store.Manifest, path string) { flip(t, path, m.Cold[0].FileSize-70) },
			"damaged", "cold", "header or block table: ", "nothing: the blocks",
		},
		"cut short": {
			func(t *testing.T, _ string, _ *store.Manifest, path string) {
				require.NoError(t, os.Truncate(path, 3000))
			},
			"lost", "cold", "hold no valid block", "pending messages due",
		},
		"run": {
			func(t *testing.T, dir string, m *store.Manifest, _ string) {
				flip(t, filepath.Join(dir, runPath(store.ColdLane, m.Runs[store.ColdLane][0])), 200)
			},
			"damaged", "run", "", "nothing: ",
		},
		"another file": { // intact, and not what the run is about
			func(t *testing.T, dir string, m *store.Manifest, _ string) { swapRecords(t, dir, &m.Cold[0]) },
			"damaged", "index", "is not what the record says", "wrong time",
		},
		"orphan": { // of a segment that is there
			func(t *testing.T, dir string, m *store.Manifest, path string) {
				base := m.Cold[len(m.Cold)-1].Base + 640<<10
				copyBytes(t, path, filepath.Join(dir, segmentPath(store.ColdLane, base)))
				require.NoError(t, os.WriteFile(filepath.Join(dir, segmentPath(store.FarLane, base)), make([]byte, 64<<10), 0o644))
			},
			"notice", "orphan", "a cold file that is not registered", "",
		},
		"only copy": {
			func(t *testing.T, dir string, m *store.Manifest, path string) {
				copyBytes(t, path, filepath.Join(dir, segmentPath(store.ColdLane, m.Cold[len(m.Cold)-1].Base+640<<10)))
			},
			"lost", "cold", "has the only copy of", "the next start deletes the file",
		},
		"rest of a crash": {
			func(t *testing.T, _ string, _ *store.Manifest, path string) { copyBytes(t, path, path+".tmp") },
			"notice", "orphan", "a cold file that is not complete", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir, m := coldStore(t)
			x.do(t, dir, m, filepath.Join(dir, segmentPath(store.ColdLane, m.Cold[0].Base)))
			code, found := verdicts(t, dir)
			require.Equal(t, x.severity == "notice", code == ExitOK, found)
			hit := false
			for _, f := range found {
				says := func(column, want string) bool { return strings.Contains(fmt.Sprint(f[column]), want) }
				hit = hit || f["severity"] == x.severity && f["check"] == x.check && says("finding", x.finding) && says("lost", x.lost)
			}
			require.True(t, hit, "%v", found)
		})
	}
}

func copyBytes(t *testing.T, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	require.NoError(t, err)
	require.NoError(t, os.WriteFile(to, b, 0o644))
}

// swapRecords writes a cold file anew, intact, with its first record for another queue.
func swapRecords(t *testing.T, dir string, info *cold.Info) {
	t.Helper()
	f, err := openCold(dir, info)
	require.NoError(t, err)
	made := t.TempDir()
	set, err := cold.Open(made, nil, cold.Options{Lane: store.ColdLane, SegmentSize: 64 << 10})
	require.NoError(t, err)
	w, err := set.Create(info.Base, 1)
	require.NoError(t, err)
	for it, err := range f.Records() {
		require.NoError(t, err)
		b, err := f.View(it.Loc.Offset(), it.Size)
		require.NoError(t, err)
		_, err = w.Append(&commitlog.Record{When: it.When, Flags: it.Flags, Queue: it.Queue, Tag: it.Tag ^ 1, Key: it.Key, Payload: b})
		require.NoError(t, err)
	}
	_, err = w.Finish()
	require.NoError(t, err)
	require.NoError(t, set.Close())
	require.NoError(t, f.Close())
	copyBytes(t, filepath.Join(made, fmt.Sprintf("%020d", info.Base)), filepath.Join(dir, segmentPath(store.ColdLane, info.Base)))
}

func TestVerifyFindsNothingInAColdFileOfWhichAPartIsGivenBack(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	start := time.Now()
	clock := store.NewManualClock(start)
	s, err := store.Open(dir, &store.Options{
		SegmentSize: 64 << 10, DelaySegmentSize: 1 << 20, JournalSegmentSize: 1 << 20, FireBatch: 1024, Flush: commitlog.Async,
		Clock: clock, EvacuateAfter: time.Hour, ScheduledRetention: time.Hour, Keys: broker.Keys,
	})
	require.NoError(t, err)
	defer s.Close()
	q, err := s.Queue("orders", 0)
	require.NoError(t, err)
	f := newFixture(t, "")
	for i := range 8000 {
		r := f.record(fmt.Sprintf("FAR%04d", i), true, start.Add(time.Duration(10+i%100)*24*time.Hour).UnixMilli())
		_, err := s.Put(t.Context(), &store.Message{Queue: q, FireMs: r.When, Tag: r.Tag, Key: r.Key, Payload: r.Payload, Keys: broker.Keys(r.Payload, nil)})
		require.NoError(t, err)
	}
	for day := 1; day < 100; day++ { // what fires late lives longer, and its file with it
		clock.Advance(start.Add(time.Duration(day) * 24 * time.Hour))
		require.NoError(t, s.Settle(t.Context()))
		if day%8 != 1 {
			continue
		}
		require.NoError(t, s.Maintain(t.Context()))
		m, err := store.ReadManifest(dir)
		require.NoError(t, err)
		code, out, errs := runNow(t, "verify", dir, "--retention", "24h", "--scheduled-retention", "99999h")
		require.Equal(t, ExitOK, code, out+errs)
		if len(m.Cold) > 0 && m.Cold[0].DeadTo > 0 {
			return
		}
	}
	t.Fatal("nothing was given back")
}

// TestASegmentThatHasMovedIsNoLoss: a crash kept it from being deleted after its messages had
// moved, and the next start deletes it. Nobody reads it meanwhile.
func TestASegmentThatHasMovedIsNoLoss(t *testing.T) {
	t.Parallel()
	dir, m := coldStore(t)
	left := filepath.Join(dir, segmentPath(store.FarLane, m.Cold[0].Base))
	require.NoFileExists(t, left)
	other := filepath.Join(t.TempDir(), "store")
	s, err := store.Open(other, &store.Options{SegmentSize: 64 << 10, DelaySegmentSize: 64 << 10, JournalSegmentSize: 64 << 10, FireBatch: 1024, EvacuateAfter: -1})
	require.NoError(t, err)
	q, err := s.Queue("orders", 0)
	require.NoError(t, err)
	for i := range 20 {
		r := newFixture(t, "").record(fmt.Sprintf("OLD%04d", i), true, s.NowMs()+30*24*3600_000)
		_, err := s.Put(context.Background(), &store.Message{Queue: q, FireMs: r.When, Payload: r.Payload})
		require.NoError(t, err)
	}
	require.NoError(t, s.Close())
	copyBytes(t, filepath.Join(other, segmentPath(store.FarLane, 0)), left)

	code, out, errs := run(t, "verify", dir, "-o", "csv")
	require.Equal(t, ExitOK, code, "%s%s", out, errs)
	require.Contains(t, out, "a segment whose messages have moved to a cold file")
	require.NotContains(t, out, "not registered")
	export := filepath.Join(t.TempDir(), "all.jsonl")
	code, out, errs = run(t, "export", dir, "--file", export)
	require.Equal(t, ExitOK, code, "%s%s", out, errs)
	require.Len(t, exported(t, export), coldMessages)
	copied, _ := repaired(t, dir, ExitOK)
	require.NoFileExists(t, filepath.Join(copied, segmentPath(store.FarLane, m.Cold[0].Base)))
}
