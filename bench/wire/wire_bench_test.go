package wire

import (
	"context"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/bench"
)

// BenchmarkPublish is what the load generator itself can offer: two publishers
// against a server that answers at once, on the same cores.
func BenchmarkPublish(b *testing.B) {
	topic := serve(b, stub{})
	body := make([]byte, 1024)
	due := time.Now().Add(time.Hour).Truncate(time.Millisecond)
	b.SetBytes(1024)
	b.ReportAllocs()
	cpu := cpuTime()
	var wg sync.WaitGroup
	const publishers = 2
	for p := range publishers {
		n := b.N / publishers
		if p < b.N%publishers {
			n++
		}
		wg.Go(func() {
			window := make(chan struct{}, 1000)
			pub, err := topic.Publisher(context.Background(), bench.PublisherOptions{Acked: func(uint64, error) { <-window }})
			require.NoError(b, err)
			for id := range n {
				window <- struct{}{}
				require.NoError(b, pub.Publish(uint64(id), due, body))
			}
			for range cap(window) {
				window <- struct{}{}
			}
			require.NoError(b, pub.Close())
		})
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "req/s")
	b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
}

// cpuTime is that of client and server together.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
