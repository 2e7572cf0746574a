package wire

import (
	"context"
	"errors"
	"net"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// stub answers requests of one code each; others succeed.
type stub map[int32]func(c *remoting.Conn, cmd *remoting.Command)

func (s stub) Handle(c *remoting.Conn, cmd *remoting.Command) {
	if f := s[cmd.Code]; f != nil {
		f(c, cmd)
		return
	}
	_ = c.Reply(cmd.Token(), remoting.RespSuccess, "", nil, nil)
}
func (stub) Closed(*remoting.Conn) {}

func serve(t testing.TB, s stub) *Topic {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := remoting.NewServer(s, nil)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); <-served })
	topic, err := Create(context.Background(), Options{Addr: l.Addr().String(), Queues: 2})
	require.NoError(t, err)
	return topic
}

// acks collects how messages ended.
type acks struct {
	sync.WaitGroup
	mu   sync.Mutex
	errs map[uint64]error
}

func (a *acks) acked(id uint64, err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.errs == nil {
		a.errs = map[uint64]error{}
	}
	a.errs[id] = err
	a.Done()
}

func TestASendCarriesBodyQueueAndTime(t *testing.T) {
	got := make(chan *remoting.Command, 2)
	topic := serve(t, stub{remoting.ReqSendMessageV2: func(c *remoting.Conn, cmd *remoting.Command) {
		got <- cmd.Clone()
		_ = c.Reply(cmd.Token(), remoting.RespSuccess, "", nil, nil)
	}})
	var a acks
	p, err := topic.Publisher(t.Context(), bench.PublisherOptions{Acked: a.acked})
	require.NoError(t, err)
	a.Add(2)
	due := time.UnixMilli(1_900_000_000_123)
	require.NoError(t, p.Publish(5, due, []byte("later")))
	require.NoError(t, p.Publish(6, time.Time{}, []byte("now")))
	a.Wait()
	require.NoError(t, p.Close())
	later, now := <-got, <-got
	require.Equal(t, "later", string(later.Body))
	require.Equal(t, "1900000000123", message.Get(later.Get("i"), message.PropTimerDeliverMs))
	require.Equal(t, "bench", later.Get("b"))
	require.Empty(t, now.Get("i"))
	require.NoError(t, errors.Join(a.errs[5], a.errs[6]))
}

func TestARefusalReachesTheMessageThatWasRefused(t *testing.T) {
	topic := serve(t, stub{remoting.ReqSendMessageV2: func(c *remoting.Conn, cmd *remoting.Command) {
		_ = c.Reply(cmd.Token(), remoting.RespMessageIllegal, "too far", nil, nil)
	}})
	var a acks
	p, err := topic.Publisher(t.Context(), bench.PublisherOptions{Acked: a.acked})
	require.NoError(t, err)
	defer p.Close()
	a.Add(1)
	require.NoError(t, p.Publish(1, time.Time{}, []byte("x")))
	a.Wait()
	var refused *client.RefusedError
	require.ErrorAs(t, a.errs[1], &refused)
	require.Equal(t, remoting.RespMessageIllegal, refused.Code)
	require.ErrorContains(t, refused, "too far")
}

func TestABatchIsSentWhenFullOrFlushed(t *testing.T) {
	sizes := make(chan int, 4)
	topic := serve(t, stub{remoting.ReqSendBatchMessage: func(c *remoting.Conn, cmd *remoting.Command) {
		n := 0
		for _, err := range message.Batch(cmd.Body) {
			require.NoError(t, err)
			n++
		}
		sizes <- n
		_ = c.Reply(cmd.Token(), remoting.RespSuccess, "", nil, nil)
	}})
	var a acks
	p, err := topic.Publisher(t.Context(), bench.PublisherOptions{Acked: a.acked, Batch: 3})
	require.NoError(t, err)
	defer p.Close()
	a.Add(5)
	for id := range uint64(5) {
		require.NoError(t, p.Publish(id, time.Now().Add(time.Hour), []byte("x")))
	}
	require.NoError(t, p.Flush())
	require.NoError(t, p.Flush())
	a.Wait()
	require.Len(t, a.errs, 5)
	require.Equal(t, 3, <-sizes)
	require.Equal(t, 2, <-sizes)
	require.Empty(t, sizes)
}

func TestALostConnectionFailsWhatIsUnderWay(t *testing.T) {
	topic := serve(t, stub{remoting.ReqSendMessageV2: func(c *remoting.Conn, _ *remoting.Command) { c.Close() }})
	var a acks
	p, err := topic.Publisher(t.Context(), bench.PublisherOptions{Acked: a.acked})
	require.NoError(t, err)
	a.Add(1)
	require.NoError(t, p.Publish(1, time.Time{}, []byte("x")))
	a.Wait()
	require.Error(t, a.errs[1])
	require.Error(t, p.Publish(2, time.Time{}, []byte("x")), "nothing is taken for a connection that is gone")
	_ = p.Close()
}

// queue serves pulls of messages 0 to n-1, two at a time, in queue 0 alone. Other
// pulls are held for ever.
func queue(t *testing.T, n int64) stub {
	return stub{remoting.ReqPullMessage: func(c *remoting.Conn, cmd *remoting.Command) {
		from, err := cmd.Int64("queueOffset")
		require.NoError(t, err)
		if cmd.Get("queueId") != "0" || from >= n {
			return
		}
		var body []byte
		next := min(from+2, n)
		for i := from; i < next; i++ {
			body, err = message.Append(body, &message.Message{Body: []byte(strconv.FormatInt(i, 10)), Topic: "bench"})
			require.NoError(t, err)
		}
		ext := []remoting.Field{{Key: "nextBeginOffset", Value: strconv.FormatInt(next, 10)}}
		_ = c.Reply(cmd.Token(), remoting.RespSuccess, "", ext, body)
	}}
}

func TestAGroupGoesOnWhereItWas(t *testing.T) {
	topic := serve(t, queue(t, 5))
	got := make(chan string, 100)
	deliver := func(b []byte, _ time.Time) { got <- string(b) }
	stop, err := topic.Subscribe(t.Context(), "g", deliver)
	require.NoError(t, err)
	for i := range 5 {
		require.Equal(t, strconv.Itoa(i), <-got)
	}
	stop()
	again, err := topic.Subscribe(t.Context(), "g", deliver)
	require.NoError(t, err)
	other, err := topic.Subscribe(t.Context(), "h", deliver)
	require.NoError(t, err)
	for i := range 5 {
		require.Equal(t, strconv.Itoa(i), <-got, "only the other group begins anew")
	}
	again()
	other()
	require.Empty(t, got)
}

func TestBytesThatAreNoMessageAreNotPassedOver(t *testing.T) {
	topic := serve(t, stub{remoting.ReqPullMessage: func(c *remoting.Conn, cmd *remoting.Command) {
		if cmd.Get("queueId") == "0" && cmd.Get("queueOffset") == "0" {
			_ = c.Reply(cmd.Token(), remoting.RespSuccess, "", []remoting.Field{{Key: "nextBeginOffset", Value: "1"}}, []byte("rubbish"))
		}
	}})
	got := make(chan string, 1)
	stop, err := topic.Subscribe(t.Context(), "g", func(b []byte, _ time.Time) { got <- string(b) })
	require.NoError(t, err)
	require.Equal(t, "rubbish", <-got)
	stop()
}

func TestARefusedPullIsTriedAgain(t *testing.T) {
	var once sync.Once
	good := queue(t, 1)[remoting.ReqPullMessage]
	topic := serve(t, stub{remoting.ReqPullMessage: func(c *remoting.Conn, cmd *remoting.Command) {
		refused := false
		if cmd.Get("queueId") == "0" {
			once.Do(func() {
				refused = true
				_ = c.Reply(cmd.Token(), remoting.RespSystemError, "not now", nil, nil)
			})
		}
		if !refused {
			good(c, cmd)
		}
	}})
	got := make(chan string, 1)
	stop, err := topic.Subscribe(t.Context(), "g", func(b []byte, _ time.Time) { got <- string(b) })
	require.NoError(t, err)
	require.Equal(t, "0", <-got)
	stop()
}

func TestATopicThatCannotBeMadeIsAnError(t *testing.T) {
	topic := serve(t, stub{remoting.ReqUpdateAndCreateTopic: nil})
	_, err := Create(t.Context(), Options{Addr: topic.o.Addr})
	require.NoError(t, err)
	refusing := stub{remoting.ReqUpdateAndCreateTopic: func(c *remoting.Conn, cmd *remoting.Command) {
		_ = c.Reply(cmd.Token(), remoting.RespNoPermission, "no", nil, nil)
	}}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	srv := remoting.NewServer(refusing, nil)
	served := make(chan error, 1)
	go func() { served <- srv.Serve(l) }()
	_, err = Create(t.Context(), Options{Addr: l.Addr().String()})
	require.ErrorContains(t, err, "NO_PERMISSION")
	srv.Close()
	<-served
}
