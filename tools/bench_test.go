package tools

import (
	"context"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/duelog/duelog/internal/durable"
	"github.com/duelog/duelog/store"
)

// benchStore is a store with n pending messages of size bytes, due in no order over a day.
func benchStore(b *testing.B, n, size int) string {
	dir := filepath.Join(b.TempDir(), "store")
	s, err := store.Open(dir, &store.Options{})
	require.NoError(b, err)
	q, err := s.Queue("orders", 0)
	require.NoError(b, err)
	done := make(doneCount, 1024)
	payload := make([]byte, size)
	start := time.Now().Add(3 * time.Hour).UnixMilli() // lanes 1 and 2
	go func() {
		for i := range n {
			copy(payload, strconv.Itoa(i))
			m := store.Message{Queue: q, FireMs: start + int64(i)*7919*7919%86_400_000, Key: uint32(i), Payload: payload}
			if err := s.PutAsync(&m, done, 0); err != nil {
				done <- err
			}
		}
	}()
	for range n {
		require.NoError(b, <-done)
	}
	require.NoError(b, s.Maintain(context.Background()))
	require.NoError(b, s.Close())
	return dir
}

// doneCount takes the outcomes of puts.
type doneCount chan error

// PutDone implements store.Completer.
func (d doneCount) PutDone(_ uint64, _ store.Result, err error) { d <- err }

// messages is how many messages the benchmarks use; DUELOG_TOOLS_BENCH sets another number.
func messages(b *testing.B) int {
	n := 4_000_000
	if v := os.Getenv("DUELOG_TOOLS_BENCH"); v != "" {
		var err error
		n, err = strconv.Atoi(v)
		require.NoError(b, err)
	}
	return n
}

// dropCached drops the files of a store from the page cache.
func dropCached(b *testing.B, dir string) {
	require.NoError(b, filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			err = durable.DropCache(path)
		}
		return err
	}))
}

// cpuTime is how long the process has used a processor.
func cpuTime(b *testing.B) time.Duration {
	var u unix.Rusage
	require.NoError(b, unix.Getrusage(unix.RUSAGE_SELF, &u))
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// readAll reads used bytes of every file in large pieces, as fast as the disk can.
func readAll(b *testing.B, dir string) (bytes int64) {
	m, err := store.ReadManifest(dir)
	require.NoError(b, err)
	for lane, segs := range m.Segments {
		for _, s := range segs {
			bytes += readFile(b, filepath.Join(dir, segmentPath(lane, s.Base)), s.End-s.Base, io.Discard)
		}
	}
	for lane, runs := range m.Runs {
		for _, r := range runs {
			bytes += readFile(b, filepath.Join(dir, runPath(lane, r)), 1<<62, io.Discard)
		}
	}
	return bytes
}

func readFile(b *testing.B, path string, n int64, to io.Writer) int64 {
	f, err := os.Open(path)
	require.NoError(b, err)
	defer f.Close()
	read, err := io.CopyBuffer(struct{ io.Writer }{to}, struct{ io.Reader }{io.LimitReader(f, n)}, make([]byte, 1<<20))
	require.NoError(b, err)
	return read
}

// BenchmarkVerifyAgainstDisk reports how fast verify reads a cold store, as a part of
// what reading the same files front to back takes, in turns.
func BenchmarkVerifyAgainstDisk(b *testing.B) {
	for _, size := range []int{100, 1024} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			dir := benchStore(b, messages(b), size)
			var disk, tool, cpu time.Duration
			var bytes int64
			b.ResetTimer()
			for range b.N {
				dropCached(b, dir)
				start := time.Now()
				bytes = readAll(b, dir)
				disk += time.Since(start)
				dropCached(b, dir)
				start = time.Now()
				cpu -= cpuTime(b)
				code, out, errs := runQuietly("verify", dir)
				require.Equal(b, ExitOK, code, out+errs)
				cpu += cpuTime(b)
				tool += time.Since(start)
			}
			b.SetBytes(2 * bytes)
			b.ReportMetric(disk.Seconds()/tool.Seconds(), "of-disk")
			b.ReportMetric(float64(cpu)/float64(b.N*messages(b)), "cpu-ns/message")
		})
	}
}

// BenchmarkRepairAgainstCopy reports how fast repair is, as a part of what a plain
// copy of the same files takes, each file synced, in turns.
func BenchmarkRepairAgainstCopy(b *testing.B) {
	for _, size := range []int{100, 1024} {
		b.Run(strconv.Itoa(size), func(b *testing.B) {
			dir := benchStore(b, messages(b), size)
			var plainCopy, tool, cpu time.Duration
			b.ResetTimer()
			for range b.N {
				out := filepath.Join(b.TempDir(), "copy")
				dropCached(b, dir)
				start := time.Now()
				copyLog(b, dir, out)
				plainCopy += time.Since(start)
				require.NoError(b, os.RemoveAll(out))
				dropCached(b, dir)
				start = time.Now()
				cpu -= cpuTime(b)
				code, o, errs := runQuietly("repair", dir, "--out", out)
				require.Equal(b, ExitOK, code, o+errs)
				cpu += cpuTime(b)
				tool += time.Since(start)
				require.NoError(b, os.RemoveAll(out))
			}
			b.ReportMetric(plainCopy.Seconds()/tool.Seconds(), "of-copy")
			b.ReportMetric(float64(cpu)/float64(b.N*messages(b)), "cpu-ns/message")
		})
	}
}

func copyLog(b *testing.B, dir, out string) {
	m, err := store.ReadManifest(dir)
	require.NoError(b, err)
	for lane, segs := range m.Segments {
		for _, s := range segs {
			path := filepath.Join(out, segmentPath(lane, s.Base))
			require.NoError(b, os.MkdirAll(filepath.Dir(path), 0o755))
			f, err := os.Create(path)
			require.NoError(b, err)
			readFile(b, filepath.Join(dir, segmentPath(lane, s.Base)), s.End-s.Base, f)
			require.NoError(b, durable.Datasync(f))
			require.NoError(b, f.Close())
		}
	}
}

func runQuietly(args ...string) (code int, out, errs string) {
	return runWith(context.Background(), args...)
}
