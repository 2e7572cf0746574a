package keyindex

import (
	"math/rand/v2"
	"os"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// stride is how far the messages of tests are apart in the lane.
const stride = 100

// makeEntries returns n entries of as many messages from firstLoc on, with hashes
// below distinct (0: all different).
func makeEntries(n int, firstLoc int64, distinct uint64) []Entry {
	r := rand.New(rand.NewPCG(uint64(n), uint64(firstLoc)))
	es := make([]Entry, n)
	for i := range es {
		es[i] = Entry{Hash: r.Uint64(), Loc: uint64(firstLoc) + uint64(i)*stride}
		if distinct > 0 {
			es[i].Hash = es[i].Hash % distinct << 60
		}
	}
	return es
}

// endOf is the lane offset behind es.
func endOf(es []Entry) int64 { return int64(es[len(es)-1].Loc) + stride }

func openIndex(t testing.TB, dir string, runs []RunInfo, upTo int64) *Index {
	t.Helper()
	x, damaged, err := Open(dir, runs, upTo, nil)
	require.NoError(t, err)
	require.Empty(t, damaged)
	x.now = func() time.Time { return time.UnixMilli(1_800_000_000_000) }
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	return x
}

// addRun puts es through the whole life up to an installed run.
func addRun(t testing.TB, x *Index, es []Entry) RunInfo {
	t.Helper()
	x.Add(es, endOf(es))
	require.True(t, x.Freeze())
	ri, wrote, err := x.Flush()
	require.NoError(t, err)
	require.True(t, wrote)
	require.NoError(t, x.Install(ri, wrote))
	return ri
}

// mergeAll merges old and installs the result.
func mergeAll(t testing.TB, x *Index, old []RunInfo, keep func(uint64) bool) (RunInfo, bool) {
	t.Helper()
	ri, wrote, err := x.Merge(old, keep, nil)
	require.NoError(t, err)
	require.NoError(t, x.Replace(old, ri, wrote))
	return ri, wrote
}

// find returns all locations of a hash.
func find(t require.TestingT, x *Index, hash uint64) []uint64 {
	var got []uint64
	require.NoError(t, x.Find(hash, func(loc uint64) bool { got = append(got, loc); return true }))
	return got
}

// wanted returns what Find must visit for a hash: es, newest first, each once.
func wanted(es []Entry, hash uint64) []uint64 {
	var out []uint64
	for i := len(es) - 1; i >= 0; i-- {
		if es[i].Hash == hash && (len(out) == 0 || out[len(out)-1] != es[i].Loc) {
			out = append(out, es[i].Loc)
		}
	}
	return out
}

// requireContent checks that each hash in es gives exactly its locations.
func requireContent(t require.TestingT, x *Index, es []Entry) {
	seen := map[uint64]bool{}
	for _, e := range es {
		if !seen[e.Hash] {
			seen[e.Hash] = true
			require.Equal(t, wanted(es, e.Hash), find(t, x, e.Hash), "hash %x", e.Hash)
		}
	}
}

func fileNames(t testing.TB, dir string) []string {
	t.Helper()
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := []string{}
	for _, f := range files {
		names = append(names, f.Name())
	}
	return names
}
