// Package limit measures what this machine can do at best with the bytes of a
// benchmark: the bound that no message system gets past, whatever its code. A
// figure next to its bound says how much is left to gain, and keeps its meaning
// on another machine.
//
//	memcpy_crc       copy a body and compute its CRC-32C, in memory
//	disk             write the same bytes in order, 4 MiB at a time, fdatasync after each
//	sync_local       one body: write, fdatasync; one after the other
//	sync_round_trip  one body: loopback, write, fdatasync, loopback back; one after the other
//	echo             the remoting protocol's frames of a send and its answer, pipelined, no work behind
//	echo_pull        the same for answers that carry 32 messages
//	timer_local      wake at a due time, write a few bytes and fdatasync
//	timer            the same and one loopback round trip
//
// Every measurement takes about as long as it is told, uses loopback and one file
// in the directory it is given, and leaves nothing behind.
package limit

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Names of the figures.
const (
	MemcpyCRC     = "memcpy_crc"
	Disk          = "disk"
	SyncLocal     = "sync_local"
	SyncRoundTrip = "sync_round_trip"
	Echo          = "echo"
	EchoPull      = "echo_pull"
	TimerLocal    = "timer_local"
	Timer         = "timer"
)

// Figure is one bound.
type Figure struct {
	Name string
	// PerSecond is in messages of Config.Body bytes.
	PerSecond float64
	// CPU is the time all threads of this process took per message: client and server.
	CPU time.Duration
	// P50 and P99 are latencies of one operation, where one waits for it; else 0.
	P50, P99 time.Duration
}

// Config says what to measure with.
type Config struct {
	Dir  string        // on the file system of the systems under test
	Body int           // bytes
	Each time.Duration // for one figure; default 1 s
}

// Better returns the figure that is closer to what the machine can do, of two of one
// name that were measured at different times.
func (f Figure) Better(o Figure) Figure {
	if f.Name == Timer || f.Name == TimerLocal {
		if o.P50 < f.P50 {
			return o
		}
		return f
	}
	if o.PerSecond > f.PerSecond {
		return o
	}
	return f
}

var measurements = []struct {
	name string
	run  func(context.Context, Config) (Figure, error)
}{
	{MemcpyCRC, memcpyCRC},
	{Disk, disk},
	{SyncLocal, syncLocal},
	{SyncRoundTrip, syncRoundTrip},
	{Echo, echoSend},
	{EchoPull, echoPull},
	{TimerLocal, timerLocal},
	{Timer, timer},
}

// Measure measures the named figures, or all if none is named, one after the other.
// It stops when ctx ends.
func Measure(ctx context.Context, c Config, names ...string) ([]Figure, error) {
	if c.Each <= 0 {
		c.Each = time.Second
	}
	var out []Figure
	for _, m := range measurements {
		if len(names) > 0 && !slices.Contains(names, m.name) {
			continue
		}
		f, err := m.run(ctx, c)
		if err != nil {
			return nil, fmt.Errorf("measure limit %s: %w", m.name, err)
		}
		f.Name = m.name
		out = append(out, f)
	}
	return out, nil
}

// stopwatch turns a number of operations into a Figure.
type stopwatch struct {
	start time.Time
	cpu   time.Duration
}

func startWatch() stopwatch { return stopwatch{start: time.Now(), cpu: cpuTime()} }

func (s stopwatch) figure(n int64) Figure {
	if n == 0 {
		return Figure{}
	}
	return Figure{
		PerSecond: float64(n) / time.Since(s.start).Seconds(),
		CPU:       (cpuTime() - s.cpu) / time.Duration(n),
	}
}

// latencies adds the percentiles of took to f.
func (f Figure) latencies(took []time.Duration) Figure {
	if len(took) > 0 {
		slices.Sort(took)
		f.P50, f.P99 = took[len(took)/2], took[len(took)*99/100]
	}
	return f
}
