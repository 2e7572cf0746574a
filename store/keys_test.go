package store

import (
	"bytes"
	"context"
	"fmt"
	"hash/fnv"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/internal/testutil"
	"github.com/duelog/duelog/keyindex"
)

// wordKeys are the keys of test payloads: the words that begin with '#'.
func wordKeys(payload []byte, dst []uint64) []uint64 {
	for _, word := range strings.Fields(string(payload)) {
		if word[0] == '#' {
			dst = append(dst, hashOf(word))
		}
	}
	return dst
}

func hashOf(key string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(key))
	return h.Sum64()
}

func withKeys(o Options) *Options {
	o.Keys = wordKeys
	return small(o)
}

func putKeyed(t testing.TB, s *Store, q *Queue, fireMs int64, payload string) Result {
	t.Helper()
	r, err := s.Put(context.Background(), &Message{Queue: q, FireMs: fireMs, Payload: []byte(payload), Keys: wordKeys([]byte(payload), nil)})
	require.NoError(t, err)
	return r
}

// lookup returns the payloads that Lookup leads to and that have the key.
func lookup(t testing.TB, s *Store, key string) []string {
	t.Helper()
	var out []string
	require.NoError(t, s.Lookup(hashOf(key), func(loc commitlog.Loc) bool {
		v, err := s.ReadAt(loc)
		if err != nil {
			require.ErrorIs(t, err, ErrNotFound)
			return true
		}
		defer v.Release()
		if payload := string(v.Bytes()); strings.Contains(payload+" ", key+" ") {
			out = append(out, payload)
		}
		return true
	}))
	return out
}

// flushNow does what the keeper does when memtables are full.
func flushNow(t testing.TB, s *Store) {
	t.Helper()
	s.keepMu.Lock() // the keeper flushes too
	defer s.keepMu.Unlock()
	s.near.mu.Lock()
	for _, l := range s.lanes {
		l.index.Freeze()
		l.freezeKeys()
	}
	s.near.mu.Unlock()
	require.NoError(t, s.flushIndexes())
}

func TestMessageIsFoundByItsKeysPendingAndFired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, testutil.FastDir(t), withKeys(Options{clock: newPlainClock(time.Hour)}))
		q := mustQueue(t, s, "orders", 3)
		hour := time.Hour.Milliseconds()
		now := putKeyed(t, s, q, 0, "now #a #b")
		soon := putKeyed(t, s, q, s.NowMs()+hour, "soon #a")
		putKeyed(t, s, q, s.NowMs()+30*24*hour, "later #a #c #c")
		putKeyed(t, s, q, 0, "nothing")
		want := []string{"soon #a", "now #a #b", "later #a #c #c"} // lane by lane
		require.Equal(t, want, lookup(t, s, "#a"))
		require.Equal(t, want[1:2], lookup(t, s, "#b"))
		require.Equal(t, want[2:], lookup(t, s, "#c"), "once")
		require.Empty(t, lookup(t, s, "#d"))
		flushNow(t, s)
		require.Equal(t, want, lookup(t, s, "#a"))

		st, err := s.State(soon.Loc)
		require.NoError(t, err)
		require.Equal(t, State{Queue: q, FireMs: soon.FireMs, Pending: true, Slot: -1, Size: 7}, st)
		time.Sleep(time.Hour + time.Second)
		synctest.Wait()
		st, err = s.State(soon.Loc)
		require.NoError(t, err)
		require.Equal(t, State{Queue: q, FireMs: soon.FireMs, Slot: -1, Size: 7}, st)
		st, err = s.State(now.Loc)
		require.NoError(t, err)
		require.Equal(t, State{Queue: q, Slot: 0, Size: 9}, st)
		require.Equal(t, want, lookup(t, s, "#a"))
		require.NoError(t, s.Close())
	})
}

func TestVisitorMayBeContentWithTheNewestOfEachLane(t *testing.T) {
	s := mustOpen(t, testutil.FastDir(t), withKeys(Options{}))
	q := mustQueue(t, s, "orders", 0)
	var newest [laneCount]commitlog.Loc
	for range 3 {
		for i, delay := range []time.Duration{0, 10 * time.Hour, 50 * time.Hour, 1000 * time.Hour} {
			newest[i] = putKeyed(t, s, q, s.NowMs()+delay.Milliseconds(), "#a").Loc
		}
	}
	var got []commitlog.Loc
	require.NoError(t, s.Lookup(hashOf("#a"), func(loc commitlog.Loc) bool { got = append(got, loc); return false }))
	require.Equal(t, newest[:], got)
}

func TestKeysSurviveFlushMergeAndCrash(t *testing.T) {
	s := mustOpen(t, testutil.FastDir(t), withKeys(Options{MemtableEntries: 1 << 20}))
	want := map[string][]string{}
	for round := range 40 {
		q := mustQueue(t, s, "orders", int32(round%3))
		for i := range 5 {
			shared, own := fmt.Sprintf("#s%d", i), fmt.Sprintf("#%d.%d", round, i)
			payload := shared + " " + own
			delay := []time.Duration{0, time.Hour, 50 * time.Hour, 1000 * time.Hour}[(round+i)%4]
			putKeyed(t, s, q, s.NowMs()+delay.Milliseconds(), payload)
			want[shared] = append(want[shared], payload)
			want[own] = []string{payload}
		}
		if round%20 != 10 {
			flushNow(t, s)
		}
		if round%10 == 5 {
			s = openCrashed(t, s)
		}
	}
	for _, l := range s.lanes {
		require.NoError(t, s.tendLane(l))
		require.Less(t, len(l.keys.Runs()), 40)
	}
	for key, payloads := range want {
		require.ElementsMatch(t, payloads, lookup(t, s, key), key)
	}
	require.Greater(t, s.Stats().KeyEntries, int64(300))
	require.Positive(t, s.Stats().StoredBytes[BytesKeys])
	require.Positive(t, s.Stats().KeyRuns)
}

// openCrashed opens a copy of the directory as it is while s runs, and closes s.
func openCrashed(t *testing.T, s *Store) *Store {
	dir := testutil.FastDir(t)
	s.catalog.view(func(*catalogState) { copyTree(t, s.dir, dir) })
	opts := s.opts
	require.NoError(t, s.Close())
	require.NoError(t, os.RemoveAll(filepath.Join(dir, lockName)))
	return mustOpen(t, dir, &opts)
}

func TestRetentionDropsTheKeysOfWhatIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, testutil.FastDir(t), withKeys(Options{clock: newPlainClock(time.Hour), keeperTick: time.Hour, horizon: 12 * time.Hour}))
		q := mustQueue(t, s, "orders", 0)
		for range 40 {
			for i := range 10 {
				putKeyed(t, s, q, s.NowMs()+time.Hour.Milliseconds(), fmt.Sprintf("#%d ", i)+string(make([]byte, 6000)))
			}
			flushNow(t, s)
		}
		synctest.Wait()
		require.Len(t, lookup(t, s, "#7"), 40)
		require.Less(t, len(s.lanes[0].keys.Runs()), 40, "merged")
		time.Sleep(100 * time.Hour)
		putKeyed(t, s, q, 0, "#7 "+string(make([]byte, 200_000))) // in the last segment, or seals it
		putKeyed(t, s, q, 0, "#7 "+string(make([]byte, 200_000)))
		flushNow(t, s)
		time.Sleep(2 * time.Hour)
		synctest.Wait()
		found := len(lookup(t, s, "#7"))
		require.True(t, found >= 2 && found < 10, "%d are left, those of the newest segments", found)
		for _, ri := range s.lanes[0].keys.Runs() {
			require.True(t, covered(s.lanes[0].log.Segments(), ri), "%+v", ri)
		}
		files, err := os.ReadDir(s.keysPath(s.lanes[0]))
		require.NoError(t, err)
		require.Len(t, files, len(s.lanes[0].keys.Runs()))
		require.NoError(t, s.Close())
	})
}

func TestMergeLeavesOutWhatLiesBeforeTheOldestSegment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := mustOpen(t, testutil.FastDir(t), withKeys(Options{clock: newPlainClock(time.Hour), keeperTick: time.Hour}))
		q := mustQueue(t, s, "orders", 0)
		l := s.lanes[0]
		big := string(make([]byte, 100_000))
		putKeyed(t, s, q, 0, "#old "+big)
		putKeyed(t, s, q, 0, "#old "+big)
		flushNow(t, s)
		time.Sleep(40 * time.Hour)
		putKeyed(t, s, q, 0, "#new "+big) // in the next segment
		flushNow(t, s)
		time.Sleep(40 * time.Hour)
		synctest.Wait()
		require.NotZero(t, l.log.Segments()[0].Base)
		require.NoError(t, s.mergeKeys(l, l.keys.Runs()))
		require.Len(t, l.keys.Runs(), 1)
		require.EqualValues(t, 1, l.keys.Runs()[0].Count)
		require.Len(t, lookup(t, s, "#new"), 1)
		require.NoError(t, s.Close())
	})
}

func TestDamagedKeyRunCostsItsKeysAndNothingElse(t *testing.T) {
	dir := testutil.FastDir(t)
	var logged bytes.Buffer
	opts := withKeys(Options{Logger: slog.New(slog.NewTextHandler(&logged, nil))})
	s := mustOpen(t, dir, opts)
	q := mustQueue(t, s, "orders", 0)
	fire := s.NowMs() + 500
	putKeyed(t, s, q, fire, "first #a")
	flushNow(t, s)
	putKeyed(t, s, q, fire, "second #a")
	require.NoError(t, s.Close())

	runs, err := filepath.Glob(filepath.Join(dir, keysDir, "0", "*.keys"))
	require.NoError(t, err)
	require.Len(t, runs, 2)
	require.NoError(t, os.Truncate(runs[0], 5000))

	s = mustOpen(t, dir, opts)
	require.Equal(t, []string{"second #a"}, lookup(t, s, "#a"))
	require.Contains(t, logged.String(), "run of the key index is given up")
	awaitMax(t, mustQueue(t, s, "orders", 0), 2)
	require.NoError(t, s.Close())
	s = mustOpen(t, dir, opts)
	require.NoFileExists(t, runs[0], "given up for good")
	require.Equal(t, []string{"second #a"}, lookup(t, s, "#a"))
}

func TestLookupSaysWhatItCouldNotRead(t *testing.T) {
	dir := testutil.FastDir(t)
	s := mustOpen(t, dir, withKeys(Options{}))
	q := mustQueue(t, s, "orders", 0)
	putKeyed(t, s, q, 0, "first #a")
	flushNow(t, s)
	putKeyed(t, s, q, 0, "second #a")
	runs, err := filepath.Glob(filepath.Join(dir, keysDir, "0", "*.keys"))
	require.NoError(t, err)
	b, err := os.ReadFile(runs[0])
	require.NoError(t, err)
	b[4096]++
	require.NoError(t, os.WriteFile(runs[0], b, 0o644))
	n := 0
	err = s.Lookup(hashOf("#a"), func(commitlog.Loc) bool { n++; return true })
	var bad *keyindex.CorruptionError
	require.ErrorAs(t, err, &bad)
	require.Equal(t, 1, n, "what can be read is found")
}

func TestKeyIndexIsSwitchedOffAndOn(t *testing.T) {
	dir := testutil.FastDir(t)
	s := mustOpen(t, dir, withKeys(Options{}))
	putKeyed(t, s, mustQueue(t, s, "orders", 0), 0, "first #a")
	require.NoError(t, s.Close())

	s = mustOpen(t, dir, small(Options{})) // as a release without it would go on
	require.ErrorIs(t, s.Lookup(1, nil), ErrNoKeys)
	putKeyed(t, s, mustQueue(t, s, "orders", 0), 0, "second #a")
	files, err := filepath.Glob(filepath.Join(dir, keysDir, "*", "*"))
	require.NoError(t, err)
	require.Empty(t, files)
	require.Zero(t, s.Stats().KeyEntries)
	require.NoError(t, s.Close())

	s = mustOpen(t, dir, withKeys(Options{}))
	putKeyed(t, s, mustQueue(t, s, "orders", 0), 0, "third #a")
	require.Equal(t, []string{"third #a"}, lookup(t, s, "#a"))
	s = openCrashed(t, s)
	require.Equal(t, []string{"third #a"}, lookup(t, s, "#a"))
	require.NoError(t, s.Close())
	require.ErrorIs(t, s.Lookup(1, nil), ErrClosed)
}
