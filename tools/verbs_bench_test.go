package tools

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/server/broker"
	"github.com/duelog/duelog/store"
)

// fullStore is a store with n pending messages as a broker stores them, with small
// bodies and two keys each, due in no order over a week.
func fullStore(b *testing.B, dir string, n int) {
	s, err := store.Open(dir, &store.Options{Keys: broker.Keys})
	require.NoError(b, err)
	q, err := s.Queue("orders", 0)
	require.NoError(b, err)
	done := make(doneCount, 1024)
	start := time.Now().Add(3 * time.Hour).UnixMilli()
	go func() {
		f := newFixture(failNow{b}, "")
		for i := range n {
			fire := start + int64(i)*7919*7919%(7*86_400_000)
			r := f.record(fmt.Sprintf("ORDER%010d", i), true, fire)
			m := store.Message{Queue: q, FireMs: fire, Tag: r.Tag, Key: r.Key, Payload: r.Payload, Keys: broker.Keys(r.Payload, nil)}
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
}

// failNow fails from another goroutine than that of the benchmark: with a panic.
type failNow struct{ *testing.B }

// FailNow implements failer.
func (f failNow) FailNow() { panic("a record cannot be made") }

// peakKiB is the most memory that a process had, by the status that it wrote. (What
// wait4 says is at least what the parent had.)
func peakKiB(b *testing.B, path string) (kib int64) {
	text, err := os.ReadFile(path)
	require.NoError(b, err)
	for line := range strings.Lines(string(text)) {
		if n, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			_, err := fmt.Sscanf(n, "%d", &kib)
			require.NoError(b, err)
		}
	}
	return kib
}

// BenchmarkVerbsOnAFullStore runs what looks into a whole store, each in a process of its
// own and with a cold page cache, and reports the memory that it had at most, and its CPU
// time. Nothing may be found. DUELOG_TOOLS_BENCH=10000000 is the store of README.md.
func BenchmarkVerbsOnAFullStore(b *testing.B) {
	n := messages(b)
	dir := filepath.Join(b.TempDir(), "store")
	fullStore(b, dir, n)
	key := fmt.Sprintf("ORDER%010d", n/3)
	out, status := filepath.Join(b.TempDir(), "copy"), filepath.Join(b.TempDir(), "status")
	for _, verb := range []struct {
		name, says string
		args       []string
	}{
		{"verify", "nothing is wrong", []string{"verify", dir}},
		{"repair", "0 messages are lost", []string{"repair", dir, "--out", out}},
		{"space", "", []string{"space", dir}},
		{"find", key, []string{"find", key, dir}},
		{"export", "messages exported", []string{"export", dir, "--file", out}},
		{"inspect-index", "", []string{"inspect", "index", dir}},
	} {
		b.Run(verb.name, func(b *testing.B) {
			var cpu time.Duration
			peak := int64(0)
			for range b.N {
				require.NoError(b, os.RemoveAll(out))
				dropCached(b, dir)
				b.StartTimer()
				c := exec.Command("duelogctl", verb.args...)
				c.Env = append(os.Environ(), peakEnv+"="+status)
				text, err := c.CombinedOutput()
				b.StopTimer()
				require.NoError(b, err, string(text))
				require.True(b, strings.Contains(string(text), verb.says), string(text))
				peak = max(peak, peakKiB(b, status))
				cpu += c.ProcessState.UserTime() + c.ProcessState.SystemTime()
			}
			b.ReportMetric(float64(peak)/1024, "peak-MiB")
			b.ReportMetric(cpu.Seconds()/float64(b.N), "cpu-s/op")
			b.ReportMetric(b.Elapsed().Seconds()/float64(b.N), "s/op")
		})
	}
	require.NoError(b, os.RemoveAll(out))
}
