package tools

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/keyindex"
	"github.com/duelog/duelog/server/broker"
	"github.com/duelog/duelog/store"
)

// keyedStore opens a store with a key index and memtables that are soon full.
func keyedStore(t *testing.T, dir string) *store.Store {
	t.Helper()
	s, err := store.Open(dir, &store.Options{
		SegmentSize: 1 << 20, DelaySegmentSize: 1 << 20, JournalSegmentSize: 1 << 20, FireBatch: 1024, Flush: commitlog.Async,
		Keys: broker.Keys, MemtableEntries: 64,
	})
	require.NoError(t, err)
	return s
}

// putKeyed stores n messages NAME0, NAME1, ... that are due tomorrow.
func putKeyed(t *testing.T, s *store.Store, name string, n int) {
	t.Helper()
	q, err := s.Queue("orders", 0)
	require.NoError(t, err)
	f := newFixture(t, "")
	fire := time.Now().Add(24 * time.Hour).UnixMilli()
	for i := range n {
		r := f.record(fmt.Sprintf("%s%d", name, i), true, fire)
		_, err := s.Put(t.Context(), &store.Message{Queue: q, FireMs: fire, Tag: r.Tag, Key: r.Key, Payload: r.Payload, Keys: broker.Keys(r.Payload, nil)})
		require.NoError(t, err)
	}
}

// until waits for a state of the store's MANIFEST.
func until(t *testing.T, dir string, ok func(*store.Manifest) bool) {
	t.Helper()
	require.Eventually(t, func() bool {
		m, err := store.ReadManifest(dir)
		return err == nil && ok(m)
	}, time.Minute, time.Millisecond)
}

func TestFindInAStoreInUseScansWhatIsInMemoryOnly(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := keyedStore(t, dir)
	defer s.Close()
	putKeyed(t, s, "EARLY", 200)
	until(t, dir, func(m *store.Manifest) bool { return len(m.KeyRuns[1]) > 0 })
	putKeyed(t, s, "LATE", 1)

	code, out, errs := runNow(t, "find", "EARLY0", dir, "-o", "csv")
	require.Equal(t, ExitOK, code, errs)
	require.Contains(t, out, ",accepted,")
	require.Contains(t, out, ",index\n")
	require.NotContains(t, errs, "scanned ")
	require.Contains(t, errs, "found by its UNIQ_KEY: what no run of the key index stands for")
	code, out, errs = runNow(t, "find", "k-EARLY0", dir, "-o", "csv")
	require.Equal(t, ExitOK, code, errs)
	require.Contains(t, out, ",index\n")
	require.Contains(t, errs, "its keys are not in a file yet", "another message may have the same key")
	code, out, errs = runNow(t, "find", "k-LATE0", dir, "-o", "csv")
	require.Equal(t, ExitOK, code, errs)
	require.Contains(t, out, ",scan\n")
	require.Contains(t, errs, "its keys are not in a file yet")
}

// A run that was merged into another one after the MANIFEST was read is looked for
// there; one that is only missing is not waited for.
func TestFindTellsAMergedRunFromAMissingOne(t *testing.T) {
	dir := t.TempDir()
	fixtureWith(t, dir, (*fixture).writeKeys)
	m, err := store.ReadManifest(dir)
	require.NoError(t, err)
	f := &finder{e: newEnv(Process{Out: t.Output(), Err: t.Output()}), dir: dir, m: m}
	k := &keyLookup{f: f, files: newRecordFiles(dir, m)}
	_, err = k.run(1, keyindex.RunInfo{Start: 0, End: 10, Count: 1})
	require.ErrorIs(t, err, errMerged)

	require.NoError(t, os.RemoveAll(filepath.Join(dir, store.KeysDir)))
	ok, err := k.run(1, m.KeyRuns[1][0])
	require.NoError(t, err)
	require.False(t, ok)
}

// What the mark does not cover has fired behind the replay point, or not at all: the
// journal before it, which may be long, is not read.
func TestFindReadsTheJournalOnlyWhereTheMessageMayBe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := fixtureWith(t, dir, func(f *fixture) {
		f.m.ReplayJournal = f.m.Segments[store.JournalLane][0].End
	})
	m, err := store.ReadManifest(dir)
	require.NoError(t, err)
	look := &finder{e: newEnv(Process{Out: t.Output(), Err: t.Output()}), dir: dir, m: m, lives: map[commitlog.Loc]*life{}}
	_, ok := look.journalFrom()
	require.False(t, ok, "nothing can have fired")
	for _, x := range []struct {
		key    string
		fireMs int64
		from   int64
	}{{"SOON", fixtureStart + 3600_000, m.ReplayJournal}, {"FIRED", fixtureStart + 10_000, 0}} {
		loc := f.locs[x.key]
		look.lives[loc] = &life{item: commitlog.Item{Loc: loc, When: x.fireMs, Flags: commitlog.FlagScheduled}}
		from, ok := look.journalFrom()
		require.True(t, ok)
		require.Equal(t, x.from, from, x.key)
	}
	code, out, errs := run(t, "find", "FIRED", dir, "-o", "csv")
	require.Equal(t, ExitOK, code, errs)
	require.Contains(t, out, "fired,")
}
