package delayindex

import (
	"math/rand/v2"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// baseMs is the present of all tests, 250 ms before a full hour.
const baseMs = int64(1_800_000_000_000/hourMs*hourMs) - 250

const (
	minuteMs = int64(60_000)
	dayMs    = int64(24 * hourMs)
)

// delays are the distributions of fire times that tests and benchmarks use.
var delays = []struct {
	name string
	fire func(r *rand.Rand, i int) int64
}{
	{"constant", func(_ *rand.Rand, i int) int64 { return baseMs + 30*minuteMs + int64(i)/100 }},
	{"uniform", func(r *rand.Rand, _ int) int64 { return baseMs + r.Int64N(366*dayMs) }},
	{"spike", func(*rand.Rand, int) int64 { return baseMs }},
	{"mix", func(r *rand.Rand, i int) int64 {
		switch p := r.IntN(100); {
		case p < 90:
			return baseMs + 30*minuteMs + int64(i)/100
		case p < 99:
			return baseMs + r.Int64N(dayMs)
		}
		return baseMs + 30*dayMs + r.Int64N(335*dayMs)
	}},
}

// makeEntries returns n entries whose locs are 100 bytes apart from firstLoc on.
func makeEntries(n int, firstLoc int64, fire func(r *rand.Rand, i int) int64) []Entry {
	r := rand.New(rand.NewPCG(uint64(n), uint64(firstLoc)))
	es := make([]Entry, n)
	for i := range es {
		es[i] = Entry{
			When: MakeWhen(fire(r, i), uint16(r.Uint32())&FlagTombstone),
			Loc:  uint64(firstLoc) + uint64(i)*100,
			Size: 1000 + uint32(i), Queue: uint32(i % 7), Tag: r.Uint32(), Key: r.Uint32(),
		}
	}
	return es
}

// endOf is the lane offset behind es.
func endOf(es []Entry) int64 { return int64(es[len(es)-1].Loc) + 100 }

func within(hours int64) func(*rand.Rand, int) int64 {
	return func(r *rand.Rand, _ int) int64 { return baseMs + r.Int64N(hours*hourMs) }
}

// selected returns what an index with es must yield for [from, to).
func selected(es []Entry, from, to int64) []Entry {
	var out []Entry
	for i := range es {
		if f := int64(es[i].fire()); f >= from && f < to {
			out = append(out, es[i])
		}
	}
	slices.SortStableFunc(out, func(a, b Entry) int { return Compare(&a, &b) })
	return out
}

// drain reads an iterator to its end and closes it.
func drain(it Iterator, batch int) ([]Entry, error) {
	defer it.Close()
	dst := make([]Entry, batch)
	var out []Entry
	for {
		n, err := it.Next(dst)
		if err != nil || n == 0 {
			return out, err
		}
		out = append(out, dst[:n]...)
	}
}

func requireEntries(t require.TestingT, want []Entry, it Iterator) {
	got, err := drain(it, 97)
	require.NoError(t, err)
	require.Len(t, got, len(want))
	for i := range want {
		if got[i] != want[i] {
			require.Equal(t, want[i], got[i], "entry %d", i)
		}
	}
}

// requireContent checks all that an index returns.
func requireContent(t require.TestingT, x *Index, want []Entry) {
	s := x.Snapshot()
	defer s.Release()
	requireEntries(t, selected(want, 0, MaxFireMs+1), s.Iter(0, MaxFireMs+1))
}

func openIndex(t testing.TB, dir string, runs []RunInfo, upTo int64) *Index {
	t.Helper()
	x, err := Open(dir, runs, upTo, nil)
	require.NoError(t, err)
	x.now = func() time.Time { return time.UnixMilli(baseMs) }
	t.Cleanup(func() { require.NoError(t, x.Close()) })
	return x
}

// addRun puts es through the whole life up to an installed run.
func addRun(t testing.TB, x *Index, es []Entry) RunInfo {
	t.Helper()
	x.Add(es, endOf(es))
	require.True(t, x.Freeze())
	ri, wrote, err := x.Flush(nil)
	require.NoError(t, err)
	require.True(t, wrote)
	require.NoError(t, x.Install(ri, wrote))
	return ri
}

func fileNames(t testing.TB, dir string) []string {
	t.Helper()
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = f.Name()
	}
	return names
}
