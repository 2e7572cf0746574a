package tools

import (
	"context"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/store"
)

// corruption is one way to damage a file, chosen by a seed.
type corruption struct {
	name string
	do   func(rng *rand.Rand, b []byte, used int) []byte
}

var corruptions = []corruption{
	{"flip", func(rng *rand.Rand, b []byte, used int) []byte {
		b[rng.IntN(used)] ^= 1 << rng.IntN(8)
		return b
	}},
	{"zero", func(rng *rand.Rand, b []byte, used int) []byte {
		at := rng.IntN(used)
		clear(b[at:min(at+1+rng.IntN(64), used)])
		return b
	}},
	{"truncate", func(rng *rand.Rand, b []byte, used int) []byte { return b[:rng.IntN(used)] }},
}

// usedBytes is how much of a file of the fixture means something.
func usedBytes(f *fixture, name string, b []byte) int {
	for lane, content := range f.lanes {
		if segmentPath(lane, 0) == name {
			return len(content)
		}
	}
	return len(b)
}

// filesOf lists the files of a store, relative to it.
func filesOf(t *testing.T, dir string) (names []string) {
	require.NoError(t, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			names = append(names, relative(dir, path))
		}
		return err
	}))
	return names
}

// damageOneFile copies the store f with one file damaged and reports whether its
// bytes that matter have changed.
func damageOneFile(t *testing.T, f *fixture, dir, name string, c corruption, seed uint64) (changed bool) {
	before, err := os.ReadFile(filepath.Join(f.dir, name))
	require.NoError(t, err)
	return damage(t, f.dir, dir, name, c, seed, usedBytes(f, name, before))
}

// damage copies a store with one file damaged, of which used bytes matter (-1: all), and
// reports whether those have changed.
func damage(t *testing.T, from, dir, name string, c corruption, seed uint64, used int) (changed bool) {
	t.Helper()
	require.NoError(t, os.CopyFS(dir, os.DirFS(from)))
	path := filepath.Join(dir, name)
	before, err := os.ReadFile(path)
	require.NoError(t, err)
	if used < 0 {
		used = len(before)
	}
	if used == 0 {
		return false
	}
	rng := rand.New(rand.NewPCG(seed, 7))
	after := c.do(rng, append([]byte(nil), before...), used)
	require.NoError(t, os.WriteFile(path, after, 0o644))
	return len(after) < used || string(before[:used]) != string(after[:used])
}

// notNoticed tells what nobody can notice: a lock file has no content, and in a
// configuration file, which has no checksum, a letter may stand for another.
func notNoticed(name string, c corruption) bool {
	return name == "LOCK" || strings.HasPrefix(name, configDir) && c.name == "flip"
}

// TestVerifyFindsEveryDamage damages each file of a store in each way.
func TestVerifyFindsEveryDamage(t *testing.T) {
	t.Parallel()
	f := makeFixture(t, t.TempDir())
	for _, name := range filesOf(t, f.dir) {
		for _, c := range corruptions {
			for seed := range uint64(4) {
				dir := filepath.Join(t.TempDir(), "store")
				if !damageOneFile(t, f, dir, name, c, seed) || notNoticed(name, c) {
					continue
				}
				code, out, errs := run(t, "verify", dir, "-o", "csv")
				require.Equal(t, ExitFindings, code, "%s of %s, seed %d:\n%s%s", c.name, name, seed, out, errs)
				require.Contains(t, out, filepath.Base(name), "%s of %s, seed %d:\n%s", c.name, name, seed, out)
				require.NoError(t, os.RemoveAll(dir))
			}
		}
	}
}

// A missing file is found as well as a bad one.
func TestVerifyFindsEveryMissingFile(t *testing.T) {
	t.Parallel()
	f := makeFixture(t, t.TempDir())
	for _, name := range filesOf(t, f.dir) {
		if strings.HasPrefix(name, configDir) {
			continue // without it consumers begin anew, as in a new store
		}
		dir := filepath.Join(t.TempDir(), "store")
		require.NoError(t, os.CopyFS(dir, os.DirFS(f.dir)))
		require.NoError(t, os.Remove(filepath.Join(dir, name)))
		code, out, errs := run(t, "verify", dir, "-o", "csv")
		require.Equal(t, ExitFindings, code, "%s:\n%s%s", name, out, errs)
	}
}

func TestVerifyOfAGoodStoreFindsNothing(t *testing.T) {
	dir := t.TempDir()
	makeFixture(t, dir)
	code, out, errs := run(t, "verify", dir)
	require.Equal(t, ExitOK, code, out+errs)
	require.Empty(t, out)
	require.Contains(t, errs, "2 segments, 0 cold files, 1 runs, 2 key runs, 1 queues; 7 records, 4 pending, 3 slots, 1 firings in the journal: nothing is wrong")
}

// Disagreement between intact files is what checksums cannot find.
func TestVerifyFindsFilesThatDisagree(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		change func(f *fixture)
		want   string
	}{
		{"the mark covers less", func(f *fixture) { f.m.IndexedUpTo[0] = int64(len(f.lanes[0])) }, "are pending, but in no run"},
		{"runs overlap", func(f *fixture) {
			r := f.m.Runs[1][0]
			r.Start++
			f.m.Runs[1] = append(f.m.Runs[1], r)
		}, "tiling"},
		{"a queue has another number", func(f *fixture) { f.m.Queues[0].ID = 9 }, "the record has"},
		{"more slots than there are", func(f *fixture) { f.m.Queues[0].Next = 5 }, "slots 3 to 4 of orders/0"},
		{"a segment is not there", func(f *fixture) {
			s := f.m.Segments[1][0]
			s.Base, s.End = fixtureSegment, fixtureSegment+100
			f.m.Segments[1] = append(f.m.Segments[1], s)
		}, "registered, but not on disk"},
		{"a segment has more records", func(f *fixture) {
			f.m.Segments[1][0].Sealed = true
			f.m.Segments[1][0].Records = 99
		}, "holds 3 records"},
	} {
		dir := t.TempDir()
		f := makeFixture(t, dir) // of its own: c changes it
		c.change(f)
		require.NoError(t, os.Remove(filepath.Join(dir, store.ManifestName)))
		require.NoError(t, store.WriteManifest(dir, &f.m))
		code, out, errs := run(t, "verify", dir, "-o", "csv")
		require.Equal(t, ExitFindings, code, "%s:\n%s%s", c.name, out, errs)
		require.Contains(t, out, c.want, c.name)
	}
}

// The same store with everything a verb may print, so that none panics on damage.
func TestInspectAndVerifySurviveAnyDamage(t *testing.T) {
	t.Parallel()
	from := t.TempDir()
	makeFixture(t, from)
	cold := t.TempDir()
	makeCold(t, cold, time.UnixMilli(fixtureStart), 2*time.Hour, 400)
	for seed := range uint64(8) {
		dir := filepath.Join(t.TempDir(), "store")
		require.NoError(t, os.CopyFS(dir, os.DirFS([]string{from, cold}[seed%2])))
		rng := rand.New(rand.NewPCG(seed, 1))
		for _, name := range filesOf(t, dir) {
			path := filepath.Join(dir, name)
			b, err := os.ReadFile(path)
			require.NoError(t, err)
			for range 3 {
				if len(b) > 0 {
					b = corruptions[rng.IntN(len(corruptions))].do(rng, b, min(len(b), 2000))
				}
			}
			require.NoError(t, os.WriteFile(path, b, 0o644))
		}
		for _, verb := range [][]string{
			{"verify"},
			{"inspect", "segment"},
			{"inspect", "cold"},
			{"inspect", "run"},
			{"inspect", "keys"},
			{"inspect", "journal"},
			{"inspect", "queue"},
			{"inspect", "checkpoint"},
			{"inspect", "offsets"},
			{"inspect", "index"},
			{"inspect", "manifest"},
		} {
			code, _, errs := run(t, append(verb, dir)...)
			require.NotEqual(t, ExitUsage, code, fmt.Sprint(verb, errs))
		}
		require.NoError(t, os.RemoveAll(dir))
	}
}

// Whoever stops a verb has no result, and must not take it for a good one.
func TestAnInterruptedVerifyIsNotAGoodOne(t *testing.T) {
	dir := t.TempDir()
	makeFixture(t, dir)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	code, _, errs := runWith(ctx, "verify", dir)
	require.Equal(t, ExitIO, code)
	require.Contains(t, errs, "interrupted")
}

// Records of queues that the MANIFEST does not know are met in no order; the first one of the
// log is named.
func TestVerifyNamesTheFirstRecordOfAnUnknownQueue(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f := makeFixture(t, dir)
	c := &check{e: newEnv(Process{}), dir: dir, m: &f.m}
	for _, key := range []string{"DAY2", "ORD2", "SOON", "DAY0"} {
		c.unknownQueue(&commitlog.Item{Loc: f.locs[key], Queue: 9})
	}
	c.unknownQueues()
	require.Len(t, c.findings, 1)
	require.Contains(t, c.findings[0].what, "the record at "+f.locs["ORD2"].String()+" is of queue #9,")

	f.m.Queues, f.m.NextQueue = nil, 0
	require.NoError(t, os.Remove(filepath.Join(dir, store.ManifestName)))
	require.NoError(t, store.WriteManifest(dir, &f.m))
	code, out, errs := run(t, "verify", dir, "-o", "csv")
	require.Equal(t, ExitFindings, code, errs)
	require.Contains(t, out, "the record at "+f.locs["ORD1"].String()+" is of queue #1,")
}
