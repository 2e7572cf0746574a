package broker

import (
	"context"
	"log/slog"
	"net"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// benchBroker is a broker over a store that flushes asynchronously, so that the
// benchmark measures the path and not the disk.
func benchBroker(b *testing.B) *Broker {
	st, err := store.Open(b.TempDir(), &store.Options{Flush: commitlog.Async, SegmentSize: 256 << 20, DelaySegmentSize: 256 << 20, Keys: Keys, Logger: slog.New(slog.DiscardHandler)})
	require.NoError(b, err)
	b.Cleanup(func() { require.NoError(b, st.Close()) })
	return newBroker(b, st, b.TempDir(), nil)
}

// benchProperties are those of a real Java client.
const benchProperties = "KEYS\x01key-a1\x02UNIQ_KEY\x01FD000000000000000000000000000002231430946E09723F8C8D0000\x02WAIT\x01true\x02TAGS\x01TagA\x02"

var benchKinds = map[string]string{
	"now":       benchProperties,
	"scheduled": benchProperties + "TIMER_DELAY_SEC\x013600\x02",
}

// BenchmarkSendHandler is one connection's work per message, from the decoded
// request to the store's lane, and the lane's work up to the queued answer.
func BenchmarkSendHandler(b *testing.B) {
	for name, properties := range benchKinds {
		b.Run(name, func(b *testing.B) {
			br := benchBroker(b)
			c := pipeConn(b)
			cmd := request(b, remoting.ReqSendMessageV2, strings.Repeat("x", 1024), sendExtOf("T", properties)...)
			cmd.Flag = remoting.FlagOneway // nobody reads the answers
			br.Handle(c, cmd)
			b.SetBytes(1024)
			b.ReportAllocs()
			for b.Loop() {
				br.Handle(c, cmd)
			}
		})
	}
}

// BenchmarkSendPipelined is a client, a connection, the handler and the store
// together, with up to 1000 sends under way.
func BenchmarkSendPipelined(b *testing.B) {
	for name, properties := range benchKinds {
		b.Run(name, func(b *testing.B) {
			addr := serveBench(b, benchBroker(b))
			c, err := remoting.Dial(context.Background(), addr, nil)
			require.NoError(b, err)
			defer c.Close()
			cmd := request(b, remoting.ReqSendMessageV2, strings.Repeat("x", 1024), sendExtOf("T", properties)...)
			window := make(chan struct{}, 1000)
			var failed atomic.Int64
			done := func(resp *remoting.Command, err error) {
				if err != nil || resp.Code != remoting.RespSuccess {
					failed.Add(1)
				}
				<-window
			}
			b.SetBytes(1024)
			b.ReportAllocs()
			for b.Loop() {
				window <- struct{}{}
				c.Go(cmd, done)
			}
			for range cap(window) {
				window <- struct{}{}
			}
			require.Zero(b, failed.Load())
		})
	}
}

// BenchmarkBuildRecord is the encoding alone.
func BenchmarkBuildRecord(b *testing.B) {
	for name, properties := range benchKinds {
		b.Run(name, func(b *testing.B) {
			r := testRecorder()
			r.msg = message.Message{Body: make([]byte, 1024), BornHost: defaultAdvertise}
			b.SetBytes(1024)
			b.ReportAllocs()
			for b.Loop() {
				r.buf, r.keys = r.buf[:0], r.keys[:0]
				r.info.scan(properties)
				when, _ := r.info.delay.resolve(testNow, testMaxDelay)
				if _, ref := r.build("T", 0, when, testNow); ref != nil {
					b.Fatal(ref)
				}
			}
		})
	}
}

// BenchmarkRefusedSend is what a client in a retry loop costs.
func BenchmarkRefusedSend(b *testing.B) {
	br := benchBroker(b)
	c := pipeConn(b)
	cmd := request(b, remoting.ReqSendMessageV2, "x", sendExtOf("T", props("TIMER_DELAY_MS", "x"))...)
	cmd.Flag = remoting.FlagOneway
	b.ReportAllocs()
	for b.Loop() {
		br.Handle(c, cmd)
	}
}

func serveBench(b *testing.B, h remoting.Handler) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(b, err)
	server := remoting.NewServer(h, &remoting.ServerOptions{Logger: slog.New(slog.DiscardHandler)})
	go server.Serve(l)
	b.Cleanup(func() { _ = server.Shutdown(context.Background()) })
	return l.Addr().String()
}

// connCatcher hands out the server's side of a connection.
type connCatcher chan *remoting.Conn

func (h connCatcher) Handle(c *remoting.Conn, cmd *remoting.Command) { h <- c }
func (h connCatcher) Closed(*remoting.Conn)                          {}

// pipeConn returns the server's side of a connection that nobody else uses.
func pipeConn(b *testing.B) *remoting.Conn {
	caught := make(connCatcher, 1)
	c, err := remoting.Dial(context.Background(), serveBench(b, caught), nil)
	require.NoError(b, err)
	b.Cleanup(func() { _ = c.Close() })
	require.NoError(b, c.Oneway(remoting.NewRequest(1)))
	return <-caught
}
