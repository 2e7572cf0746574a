package tools

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/keyindex"
	"github.com/duelog/duelog/server/broker"
	"github.com/duelog/duelog/store"
)

// keyFindings are the findings about the key index of a fixture.
func keyFindings(t *testing.T, more func(*fixture)) (code int, found []map[string]any) {
	t.Helper()
	dir := t.TempDir()
	fixtureWith(t, dir, func(f *fixture) {
		f.writeKeys()
		more(f)
	})
	code, all := verdicts(t, dir, "--retention", "99999h", "--scheduled-retention", "99999h")
	for _, x := range all {
		require.True(t, strings.HasPrefix(x["file"].(string), store.KeysDir), "%v", x)
		found = append(found, x)
	}
	return code, found
}

// rewriteKeys gives lane 1 a run of all its bytes with these entries.
func (f *fixture) rewriteKeys(entries ...keyindex.Entry) {
	require.NoError(f.t, os.RemoveAll(filepath.Join(f.dir, store.KeysDir, "1")))
	f.writeKeyEntries(1, int64(len(f.lanes[1])), entries)
}

func TestVerifyComparesTheKeyIndexWithTheMessages(t *testing.T) {
	all := func(f *fixture, keys ...string) (out []keyindex.Entry) {
		for _, key := range keys {
			out = append(out, f.keysAt(key)...)
		}
		return out
	}
	for name, x := range map[string]struct {
		change          func(*fixture)
		severity, check string
		finding, lost   string
	}{
		"as it should be": {change: func(f *fixture) { f.rewriteKeys(all(f, "DAY0", "DAY1", "DAY2")...) }},
		"a message with a key twice": {change: func(f *fixture) {
			f.rewriteKeys(append(all(f, "DAY0", "DAY1", "DAY2"), f.keysAt("DAY1")...)...)
		}},
		"keys missing": {
			func(f *fixture) { f.rewriteKeys(all(f, "DAY0", "DAY2")...) },
			"damaged", "keys", "2 keys of messages are not in it, the first is of the one at 1:259", "not found by key",
		},
		"another key": {
			func(f *fixture) {
				es := all(f, "DAY0", "DAY1", "DAY2")
				es[3].Hash++
				f.rewriteKeys(es...)
			},
			"damaged", "keys", "1 entries lead to no message with their key, the first of them to 1:259", "nothing: ",
		},
		"no message there": {
			func(f *fixture) {
				f.rewriteKeys(append(all(f, "DAY0", "DAY1", "DAY2"), keyindex.Entry{Hash: 7, Loc: uint64(f.locs["DAY1"] + 8)})...)
			},
			"damaged", "keys", "1 entries lead to no message", "nothing: ",
		},
		"entries of another lane": {
			func(f *fixture) {
				f.rewriteKeys(append(all(f, "DAY0", "DAY1", "DAY2"), keyindex.Entry{Hash: 7, Loc: uint64(f.locs["ORD1"])})...)
			},
			"damaged", "keys", "not in order or not of this run", "nothing: ",
		},
		"a run that was given up": {
			func(f *fixture) {
				require.NoError(f.t, os.RemoveAll(filepath.Join(f.dir, store.KeysDir, "1")))
				f.m.KeyRuns[1] = nil
			},
			"notice", "keys", "6 keys of messages from 1:56 on, before offset 609, are in no run", "not found by key",
		},
		"a run that is gone": {
			func(f *fixture) { require.NoError(f.t, os.RemoveAll(filepath.Join(f.dir, store.KeysDir, "1"))) },
			"damaged", "keys", "no such file", "nothing: ",
		},
		"a run of nobody": {
			func(f *fixture) { f.write(filepath.Join(store.KeysDir, "1", "x.keys.tmp"), []byte("x")) },
			"notice", "orphan", "not registered", "",
		},
		"runs that overlap": {
			func(f *fixture) {
				r := f.m.KeyRuns[1][0]
				r.Start = 100
				f.m.KeyRuns[1] = append(f.m.KeyRuns[1], r)
			},
			"lost", "tiling", "the one before it ends at 609", "does not open",
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			code, found := keyFindings(t, x.change)
			if x.finding == "" {
				require.Empty(t, found)
				return
			}
			require.Equal(t, x.severity == "notice", code == ExitOK)
			f := found[len(found)-1]
			require.Equal(t, x.severity, f["severity"])
			require.Equal(t, x.check, f["check"])
			require.Contains(t, f["finding"], x.finding)
			require.Contains(t, f["lost"], x.lost)
			require.Contains(t, f["next"], map[bool]string{true: "repair", false: "nothing"}[x.check == "tiling"])
		})
	}
}

// Where a hole begins, the frame around it cannot be read any more, but its other
// messages can: the key index still leads to them.
func TestVerifyFindsNothingInAStoreWithHoles(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "store")
	clock := store.NewManualClock(time.UnixMilli(fixtureStart))
	s, err := store.Open(dir, &store.Options{
		SegmentSize: 4 << 20, DelaySegmentSize: 4 << 20, JournalSegmentSize: 1 << 20, FireBatch: 1024, Flush: commitlog.Async,
		Clock: clock, Keys: broker.Keys, Retention: time.Minute, ScheduledRetention: time.Minute,
	})
	require.NoError(t, err)
	defer s.Close()
	q, err := s.Queue("orders", 0)
	require.NoError(t, err)
	f := newFixture(t, "")
	for i := range 4000 { // one of 500 lives on, each with neighbours in its frame
		waits := i%500 == 250
		r := f.record("K"+string(rune('a'+i%26))+time.Duration(i).String(), waits, 0)
		m := store.Message{Queue: q, Tag: r.Tag, Key: r.Key, Payload: r.Payload, Keys: broker.Keys(r.Payload, nil)}
		if waits {
			m.FireMs = fixtureStart + time.Hour.Milliseconds()
		}
		_, err := s.Put(t.Context(), &m)
		require.NoError(t, err)
	}
	clock.Advance(time.UnixMilli(fixtureStart).Add(10 * time.Minute))
	require.NoError(t, s.Settle(t.Context()))
	for range 3 {
		require.NoError(t, s.Maintain(t.Context()))
	}
	m, err := store.ReadManifest(dir)
	require.NoError(t, err)
	require.NotEmpty(t, m.GivenBack[0])
	require.NoError(t, s.Close())
	code, out, errs := run(t, "verify", dir, "-o", "csv", "--retention", "99999h", "--scheduled-retention", "99999h")
	require.Equal(t, ExitOK, code, out+errs)
}

// What verify says to do about a damaged run makes it good.
func TestARunOfTheKeyIndexIsMadeAnewAsVerifySays(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := keyedStore(t, dir)
	putKeyed(t, s, "M", 200)
	require.NoError(t, s.Close())
	m, err := store.ReadManifest(dir)
	require.NoError(t, err)
	flip(t, filepath.Join(dir, keyPath(1, m.KeyRuns[1][0])), 4200)
	code, found := verdicts(t, dir)
	require.Equal(t, ExitFindings, code)
	require.Len(t, found, 1)
	require.Contains(t, found[0]["next"], "duelogctl rebuild "+dir)

	code, _, errs := runNow(t, "rebuild", dir)
	require.Equal(t, ExitOK, code, errs)
	code, found = verdicts(t, dir)
	require.Equal(t, ExitOK, code, "%v", found)
	code, out, errs := runNow(t, "find", "M0", dir, "-o", "csv")
	require.Equal(t, ExitOK, code, errs)
	require.Contains(t, out, ",index\n")
}
