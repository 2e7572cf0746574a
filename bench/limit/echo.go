package limit

import (
	"context"
	"errors"
	"net"
	"runtime"
	"strings"
	"sync"

	"github.com/duelog/duelog/server/remoting"
)

const (
	echoWindow   = 512 // requests under way per connection
	pullMessages = 32
)

// Headers as long as those of a scheduled send, of its answer and of a pull's.
var (
	sendFields = []remoting.Field{
		{Key: "a", Value: "bench"},
		{Key: "b", Value: "bench"},
		{Key: "c", Value: "TBW102"},
		{Key: "d", Value: "8"},
		{Key: "e", Value: "3"},
		{Key: "f", Value: "0"},
		{Key: "g", Value: "1753970598001"},
		{Key: "h", Value: "0"},
		{Key: "i", Value: "TIMER_DELIVER_MS\x011753970598001\x02"},
		{Key: "j", Value: "0"},
		{Key: "k", Value: "false"},
		{Key: "l", Value: "16"},
		{Key: "m", Value: "false"},
	}
	sentFields = []remoting.Field{
		{Key: "msgId", Value: "7F000001000078C9000000000033CCF3"},
		{Key: "queueId", Value: "3"},
		{Key: "queueOffset", Value: "0"},
		{Key: "transactionId", Value: strings.Repeat("F", 32)},
		{Key: "MSG_REGION", Value: "DefaultRegion"},
		{Key: "TRACE_ON", Value: "true"},
	}
	pullFields = []remoting.Field{
		{Key: "consumerGroup", Value: "bench"},
		{Key: "topic", Value: "bench"},
		{Key: "queueId", Value: "3"},
		{Key: "queueOffset", Value: "1234567"},
		{Key: "maxMsgNums", Value: "32"},
		{Key: "sysFlag", Value: "6"},
	}
	pulledFields = []remoting.Field{
		{Key: "nextBeginOffset", Value: "1234567"},
		{Key: "minOffset", Value: "0"},
		{Key: "maxOffset", Value: "7654321"},
		{Key: "suggestWhichBrokerId", Value: "0"},
	}
)

// echoHandler answers at once, with body bytes to a pull and none to a send.
type echoHandler struct{ body []byte }

func (h echoHandler) Handle(c *remoting.Conn, cmd *remoting.Command) {
	// An error means that the connection is going; the client sees it too.
	if cmd.Code == remoting.ReqPullMessage {
		_ = c.Reply(cmd.Token(), remoting.RespSuccess, "FOUND", pulledFields, h.body)
		return
	}
	_ = c.Reply(cmd.Token(), remoting.RespSuccess, "", sentFields, nil)
}

func (echoHandler) Closed(*remoting.Conn) {}

func echoSend(ctx context.Context, c Config) (Figure, error) {
	cmd := remoting.NewRequest(remoting.ReqSendMessageV2, sendFields...)
	cmd.Body = make([]byte, c.Body)
	return echo(ctx, c, cmd, echoWindow)
}

func echoPull(ctx context.Context, c Config) (Figure, error) {
	// No more answers under way than the queues of a topic.
	f, err := echo(ctx, c, remoting.NewRequest(remoting.ReqPullMessage, pullFields...), 8)
	f.PerSecond *= pullMessages
	f.CPU /= pullMessages
	return f, err
}

// echo sends cmd again and again, window at a time on each of two connections,
// to a server that does nothing.
func echo(ctx context.Context, c Config, cmd *remoting.Command, window int) (Figure, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return Figure{}, err
	}
	srv := remoting.NewServer(echoHandler{make([]byte, pullMessages*(c.Body+messageOverhead))}, nil)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	defer func() { srv.Close(); <-served }()

	clients := make([]*remoting.Client, min(runtime.NumCPU(), 2))
	for i := range clients {
		if clients[i], err = remoting.Dial(ctx, l.Addr().String(), nil); err != nil {
			return Figure{}, err
		}
		defer clients[i].Close()
	}
	ctx, cancel := context.WithTimeout(ctx, c.Each)
	defer cancel()
	counts, errs := make([]int64, len(clients)), make([]error, len(clients))
	w := startWatch()
	var wg sync.WaitGroup
	for i := range clients {
		wg.Go(func() { counts[i], errs[i] = flood(ctx, clients[i], cmd, window) })
	}
	wg.Wait()
	var n int64
	for _, c := range counts {
		n += c
	}
	if err := context.Cause(ctx); !errors.Is(err, context.DeadlineExceeded) {
		errs = append(errs, err)
	}
	return w.figure(n), errors.Join(errs...)
}

// messageOverhead is what a stored message has besides its body.
const messageOverhead = 120

// flood keeps window requests under way until ctx ends: each answer sends the
// next request, on the reader's goroutine. It returns how many were answered.
func flood(ctx context.Context, client *remoting.Client, cmd *remoting.Command, window int) (int64, error) {
	var n int64 // touched on the reader's goroutine only
	var failed error
	var wg sync.WaitGroup
	wg.Add(window)
	var next func(*remoting.Command, error)
	next = func(_ *remoting.Command, err error) {
		if err == nil {
			n++
		}
		if err != nil || ctx.Err() != nil {
			failed = errors.Join(failed, err)
			wg.Done()
			return
		}
		client.Go(cmd, next)
	}
	sent := make(chan struct{}) // the first answer waits until all first requests are out
	first := func(r *remoting.Command, err error) {
		<-sent
		next(r, err)
	}
	for range window {
		client.Go(cmd, first)
	}
	close(sent)
	wg.Wait()
	return n, failed
}
