package store

import (
	"bufio"
	"fmt"
	"os"
	"os/exec"
	"sort"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
)

// BenchmarkPutAsync is the engine's append path with one producer, 1 KiB
// payloads and asynchronous flush: scheduled (index entry), within the near wheel
// (that and a place in its second), with two keys, and due now (slot).
func BenchmarkPutAsync(b *testing.B) {
	for name, ahead := range map[string]int64{"now": 0, "in30s": 30_000, "in30min": 1800_000, "in30min-2keys": 1800_000} {
		b.Run(name, func(b *testing.B) {
			opts := &Options{Flush: commitlog.Async, Retention: time.Hour}
			keys := uint64(0)
			if strings.HasSuffix(name, "keys") {
				keys = 2
				opts.Keys = func(_ []byte, dst []uint64) []uint64 { return dst }
			}
			s := mustOpen(b, b.TempDir(), opts)
			q := mustQueue(b, s, "bench", 0)
			payload := make([]byte, 1024)
			c := &counter{}
			b.SetBytes(int64(len(payload)))
			b.ReportAllocs()
			now := s.NowMs()
			hash, hashes := uint64(0), make([]uint64, keys)
			for b.Loop() {
				c.Add(1)
				for i := range hashes {
					hash += 0x9e3779b97f4a7c15
					hashes[i] = hash
				}
				m := Message{Queue: q, FireMs: now + ahead, Payload: payload, Keys: hashes}
				if err := s.PutAsync(&m, c, 0); err != nil {
					b.Fatal(err)
				}
			}
			c.Wait()
		})
	}
}

// counter is a Completer that waits for all.
type counter struct{ sync.WaitGroup }

func (c *counter) PutDone(_ uint64, _ Result, err error) {
	if err != nil {
		panic(err)
	}
	c.Done()
}

// BenchmarkPutSync is group commit: producers that each wait for their own
// acknowledgement, with a real fdatasync per batch.
func BenchmarkPutSync(b *testing.B) {
	for _, producers := range []int{1, 64} {
		b.Run(fmt.Sprintf("producers=%d", producers), func(b *testing.B) {
			s := mustOpen(b, b.TempDir(), nil)
			q := mustQueue(b, s, "bench", 0)
			payload := make([]byte, 1024)
			b.SetBytes(int64(len(payload)))
			b.SetParallelism(max(producers/2, 1))
			var mu sync.Mutex
			var took []time.Duration
			b.RunParallel(func(pb *testing.PB) {
				var own []time.Duration
				for pb.Next() {
					start := time.Now()
					m := Message{Queue: q, FireMs: start.Add(time.Hour).UnixMilli(), Payload: payload}
					if _, err := s.Put(b.Context(), &m); err != nil {
						panic(err)
					}
					own = append(own, time.Since(start))
				}
				mu.Lock()
				took = append(took, own...)
				mu.Unlock()
			})
			sort.Slice(took, func(i, j int) bool { return took[i] < took[j] })
			b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-us")
		})
	}
}

// BenchmarkFire takes entries that are all due through journal and consume
// queues, without reading bodies: what a hot second costs.
func BenchmarkFire(b *testing.B) {
	const n = 1 << 20
	cpu := time.Duration(0)
	for b.Loop() {
		b.StopTimer()
		s := mustOpen(b, b.TempDir(), &Options{})
		queues := make([]*Queue, 16)
		for i := range queues {
			queues[i] = mustQueue(b, s, "bench", int32(i))
		}
		due := s.NowMs() + 6000
		c := &counter{}
		c.Add(n)
		for i := range n {
			require.NoError(b, s.PutAsync(&Message{Queue: queues[i%16], FireMs: due, Payload: []byte("x")}, c, 0))
		}
		c.Wait()
		time.Sleep(time.Until(time.UnixMilli(due)))
		cpu -= processCPU()
		b.StartTimer()
		for _, q := range queues {
			awaitMax(b, q, n/16)
		}
		b.StopTimer()
		cpu += processCPU()
		require.NoError(b, s.Close())
		b.StartTimer()
	}
	b.ReportMetric(float64(n)*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(float64(cpu.Nanoseconds())/float64(n)/float64(b.N), "cpu-ns/entry")
}

// BenchmarkReopen opens a store with a million pending messages whose process
// was killed.
func BenchmarkReopen(b *testing.B) {
	var total time.Duration
	for b.Loop() {
		b.StopTimer()
		dir := b.TempDir()
		fillAndKill(b, dir)
		b.StartTimer()
		start := time.Now()
		s, err := Open(dir, &Options{Flush: commitlog.Async})
		total += time.Since(start)
		require.NoError(b, err)
		require.EqualValues(b, fillCount, s.Pending())
		b.StopTimer()
		require.NoError(b, s.Close())
		require.NoError(b, os.RemoveAll(dir)) // gigabytes each
		b.StartTimer()
	}
	b.ReportMetric(float64(total.Milliseconds())/float64(b.N), "ms/open")
}

const (
	fillEnv   = "DUELOG_STORE_FILL_CHILD"
	fillCount = 1 << 20
)

// fillChild puts fillCount messages of 1 KiB, says so, and waits to be killed.
func fillChild() {
	s, err := Open(os.Getenv(fillEnv), &Options{Flush: commitlog.Async})
	if err != nil {
		panic(err)
	}
	q, err := s.Queue("bench", 0)
	if err != nil {
		panic(err)
	}
	c := &counter{}
	payload := make([]byte, 1024)
	for range fillCount {
		c.Add(1)
		if err := s.PutAsync(&Message{Queue: q, FireMs: s.NowMs() + 3600_000, Payload: payload}, c, 0); err != nil {
			panic(err)
		}
	}
	c.Wait()
	fmt.Println("filled")
	select {}
}

func fillAndKill(b *testing.B, dir string) {
	b.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), fillEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	require.NoError(b, err)
	require.NoError(b, cmd.Start())
	_, err = bufio.NewReader(out).ReadString('\n')
	require.NoError(b, err)
	require.NoError(b, cmd.Process.Kill())
	_ = cmd.Wait()
}
