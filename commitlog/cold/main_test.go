package cold

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/duelog/duelog/commitlog"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	testLane    = 16
	testSegment = 64 << 20
	testBase    = 3 * testSegment
	startMs     = int64(1_800_000_000_000)
)

func openSet(t testing.TB, dir string, infos ...Info) *Set {
	t.Helper()
	s, err := Open(dir, infos, Options{Lane: testLane, SegmentSize: testSegment, CacheBytes: 1 << 20})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, s.Close()) })
	return s
}

// jsonBody is what compresses like the messages of real systems.
func jsonBody(r *rand.Rand, n int) []byte {
	b := []byte(fmt.Sprintf(`{"orderId":"%016x","customer":%d,"items":[`, r.Uint64(), r.IntN(100000)))
	for len(b) < n {
		b = append(b, fmt.Sprintf(`{"sku":"A-%05d","quantity":%d,"price":%d.%02d,"currency":"EUR"},`, r.IntN(20000), r.IntN(9), r.IntN(200), r.IntN(100))...)
	}
	return b[:n]
}

func randomBody(r *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// kept is a record and where it went.
type kept struct {
	commitlog.Record
	off int64
}

// records makes n records an hour apart.
func records(n int, body func(r *rand.Rand, i int) []byte) []kept {
	r := rand.New(rand.NewPCG(uint64(n), 7))
	out := make([]kept, n)
	for i := range out {
		out[i].Record = commitlog.Record{
			When: startMs + int64(i)*3600_000, Flags: commitlog.FlagScheduled,
			Queue: uint32(i % 5), Tag: r.Uint32(), Key: r.Uint32(), Payload: body(r, i),
		}
	}
	return out
}

func jsonRecords(n int) []kept {
	return records(n, func(r *rand.Rand, i int) []byte { return jsonBody(r, 200+i%2000) })
}

// write puts recs into a new file, adds it, and notes where they are.
func write(t testing.TB, s *Set, base int64, recs []kept) Info {
	t.Helper()
	return writeBlocks(t, s, base, blockTarget, recs)
}

// writeBlocks is write with blocks of another size.
func writeBlocks(t testing.TB, s *Set, base int64, target int, recs []kept) Info {
	t.Helper()
	w, err := s.Create(base, startMs)
	require.NoError(t, err)
	w.target = target
	for i := range recs {
		recs[i].off, err = w.Append(&recs[i].Record)
		require.NoError(t, err)
	}
	info, err := w.Finish()
	require.NoError(t, err)
	l, err := s.Load(info)
	require.NoError(t, err)
	s.Add(l)
	return info
}

func requireReadable(t testing.TB, s *Set, recs []kept) {
	t.Helper()
	for i := range recs {
		b, err := s.View(recs[i].off, int32(len(recs[i].Payload)))
		require.NoError(t, err)
		require.Equal(t, string(recs[i].Payload), string(b))
		b, err = s.View(recs[i].off-commitlog.RecordHeaderSize, commitlog.RecordHeaderSize)
		require.NoError(t, err)
		it, err := commitlog.ParseRecordHeader(b)
		require.NoError(t, err)
		require.EqualValues(t, len(recs[i].Payload), it.Size)
	}
}

func filePath(dir string, info Info) string { return filepath.Join(dir, fileName(info.Base)) }

func fileNames(t testing.TB, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	require.NoError(t, err)
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}
