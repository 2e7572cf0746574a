package remoting

import (
	"context"
	"fmt"
	"net"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func BenchmarkDecode(b *testing.B) {
	body := make([]byte, 1024)
	for name, frame := range map[string][]byte{
		"json/java513": AppendFrame(nil, sendCommand(JSON, body))[4:],
		"json/raw513":  frameOf(JSON, samples["java 513 send v2"], body),
		"json/cpp":     frameOf(JSON, samples["cpp send"], body),
		"binary":       AppendFrame(nil, sendCommand(Binary, body))[4:],
	} {
		b.Run(name, func(b *testing.B) {
			var c Command
			b.SetBytes(int64(len(frame)))
			b.ReportAllocs()
			for b.Loop() {
				if err := Decode(frame, &c); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkDecodeSlow(b *testing.B) {
	h := []byte(samples["java 513 send v2"])
	var c Command
	b.SetBytes(int64(len(h)))
	b.ReportAllocs()
	for b.Loop() {
		if err := c.decodeSlow(h); err != nil {
			b.Fatal(err)
		}
	}
}

var sendReply = []Field{
	{"msgId", "7F000001000078C9000000000033CCF3"},
	{"queueId", "0"},
	{"queueOffset", "12345"},
	{"transactionId", "FD00000000000000000000000000000221EB30946E09725315F30000"},
	{"MSG_REGION", "DefaultRegion"},
	{"TRACE_ON", "true"},
}

func BenchmarkEncodeReply(b *testing.B) {
	for _, s := range []Serialize{JSON, Binary} {
		b.Run(fmt.Sprint(s), func(b *testing.B) {
			var dst []byte
			b.ReportAllocs()
			for b.Loop() {
				h := replyHeader(Token{Opaque: 123456, Serialize: s}, 0, "", sendReply)
				dst = appendHead(dst[:0], s, &h)
				setLength(dst)
			}
			b.SetBytes(int64(len(dst)))
		})
	}
}

// BenchmarkEcho sends real send headers with 1 KiB bodies over loopback and gets
// real send replies, so many in flight per connection. Client and server share
// the machine; cpu-ns/op is what both took together.
func BenchmarkEcho(b *testing.B) {
	for _, shape := range []struct{ conns, window int }{{1, 1}, {1, 256}, {64, 1}, {64, 16}} {
		for _, s := range []Serialize{JSON, Binary} {
			b.Run(fmt.Sprintf("%dx%d/%d", shape.conns, shape.window, s), func(b *testing.B) {
				benchEcho(b, shape.conns, shape.window, s)
			})
		}
	}
}

func benchEcho(b *testing.B, conns, window int, s Serialize) {
	srv := NewServer(handlerFunc(func(c *Conn, cmd *Command) {
		_ = c.Reply(cmd.Token(), RespSuccess, "", sendReply, nil)
	}), nil)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	clients := make([]*Client, conns)
	for i := range clients {
		clients[i], err = Dial(context.Background(), l.Addr().String(), nil)
		require.NoError(b, err)
		defer clients[i].Close()
	}
	cmd := sendCommand(s, make([]byte, 1024))
	b.SetBytes(int64(len(AppendFrame(nil, cmd))))
	b.ReportAllocs()
	b.ResetTimer()
	start, cpu := time.Now(), cpuTime()
	var wg sync.WaitGroup
	for i, c := range clients {
		n := b.N / conns
		if i < b.N%conns {
			n++
		}
		wg.Add(1)
		go func() {
			defer wg.Done()
			pipeline(b, c, cmd, n, window)
		}()
	}
	wg.Wait()
	b.ReportMetric(float64(b.N)/time.Since(start).Seconds(), "req/s")
	b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
}

// pipeline sends n requests with at most window of them in flight: each response
// sends the next request, on the reader goroutine.
func pipeline(b *testing.B, c *Client, cmd *Command, n, window int) {
	var done sync.WaitGroup
	done.Add(n)
	left := n - min(n, window) // touched by the reader goroutine only, after the start
	first := n - left
	start := make(chan struct{})
	var next func(*Command, error)
	next = func(_ *Command, err error) {
		<-start
		if err != nil {
			b.Error(err)
		}
		if left > 0 {
			left--
			c.Go(cmd, next)
		}
		done.Done()
	}
	for range first {
		c.Go(cmd, next)
	}
	close(start)
	done.Wait()
}

// BenchmarkServer is BenchmarkEcho with a client that does next to nothing: it
// writes the same 256 requests again and again and only counts the answers.
// cpu-ns/op is then little more than what the server and the kernel take.
func BenchmarkServer(b *testing.B) {
	for _, s := range []Serialize{JSON, Binary} {
		b.Run(fmt.Sprint(s), func(b *testing.B) {
			_, addr := start(b, handlerFunc(func(c *Conn, cmd *Command) {
				_ = c.Reply(cmd.Token(), RespSuccess, "", sendReply, nil)
			}), nil)
			benchServer(b, rawDial(b, addr), s)
		})
	}
}

func benchServer(b *testing.B, nc net.Conn, s Serialize) {
	const burst = 256
	var requests []byte
	for range burst {
		requests = AppendFrame(requests, sendCommand(s, make([]byte, 1024)))
	}
	b.SetBytes(int64(len(requests) / burst))
	b.ReportAllocs()
	b.ResetTimer()
	started, cpu := time.Now(), cpuTime()
	answers := newFrameReader(1 << 20)
	defer answers.release()
	for n := 0; n < b.N; n += burst {
		_, err := nc.Write(requests)
		require.NoError(b, err)
		for got := 0; got < burst; {
			if _, ok, _ := answers.next(); ok {
				got++
				continue
			}
			_, err := answers.fill(nc)
			require.NoError(b, err)
		}
	}
	b.ReportMetric(float64(b.N)/time.Since(started).Seconds(), "req/s")
	b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// handlerFunc is a Handler that does not care for closed connections.
type handlerFunc func(c *Conn, cmd *Command)

func (f handlerFunc) Handle(c *Conn, cmd *Command) { f(c, cmd) }
func (f handlerFunc) Closed(*Conn)                 {}
