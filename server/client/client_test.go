package client_test

import (
	"context"
	"errors"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/duelog/duelog/server"
	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience bounds what a test waits for; nothing in a passing test takes it.
const patience = 30 * time.Second

// start runs a whole server until the test ends and returns a client of it.
func start(t *testing.T) (*client.Client, context.Context) {
	t.Helper()
	cfg := server.DefaultConfig()
	cfg.Data, cfg.Listen, cfg.NamesrvListen, cfg.AdminListen = t.TempDir(), "127.0.0.1:0", "127.0.0.1:0", ""
	cfg.SegmentSize, cfg.MaxMessageSize = 4<<20, 1<<20
	s, err := server.New(&cfg, nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx) }()
	c := client.New(&client.Options{NameServer: "127.0.0.1:1; " + s.Addrs().Namesrv, Timeout: patience})
	t.Cleanup(func() {
		require.NoError(t, c.Close())
		cancel()
		require.NoError(t, <-served)
	})
	bounded, stop := context.WithTimeout(context.Background(), 2*patience)
	t.Cleanup(stop)
	return c, bounded
}

func theBroker(t *testing.T, c *client.Client, ctx context.Context) client.Broker {
	t.Helper()
	brokers, err := c.Brokers(ctx)
	require.NoError(t, err)
	require.Len(t, brokers, 1)
	return brokers[0]
}

func TestAMessageGoesThereAndBack(t *testing.T) {
	c, ctx := start(t)
	b := theBroker(t, c, ctx)
	require.NoError(t, c.CreateTopic(ctx, b.Addr, &client.TopicConfig{Name: "t", ReadQueues: 2, WriteQueues: 2, Perm: client.PermRead | client.PermWrite}))
	props := string(message.AppendProperty(nil, message.PropTags, "x"))
	sent, err := c.Send(ctx, &client.Outgoing{Topic: "t", Queue: 1, Body: []byte("hello"), Properties: props, Group: "p"})
	require.NoError(t, err)
	require.Len(t, sent.ID, 32)
	require.EqualValues(t, 1, sent.Queue)

	route, err := c.Route(ctx, "t")
	require.NoError(t, err)
	require.Len(t, route.Read, 2)
	q := route.Read[1]
	p, err := c.Pull(ctx, q, 0, client.PullOptions{Group: "g", Tags: "x"})
	require.NoError(t, err)
	require.Equal(t, "hello", string(p.Messages[0].Body))
	require.EqualValues(t, 1, p.Next)
	require.NoError(t, c.Commit(ctx, "g", q, p.Next))
	offset, ok, err := c.Committed(ctx, "g", q)
	require.NoError(t, err)
	require.True(t, ok)
	require.EqualValues(t, 1, offset)
	p, err = c.Pull(ctx, q, 1, client.PullOptions{Group: "g", Wait: time.Millisecond})
	require.NoError(t, err)
	require.Empty(t, p.Messages)

	progress, err := c.ConsumeStats(ctx, b.Addr, "g")
	require.NoError(t, err)
	require.Len(t, progress, 2)
	require.Zero(t, progress[1].Lag())
	stats, err := c.TopicStats(ctx, b.Addr, "t")
	require.NoError(t, err)
	require.EqualValues(t, 1, stats[1].Max)
	require.Equal(t, q, stats[1].Queue)
	for _, bound := range []func(context.Context, client.Queue) (int64, error){c.MinOffset, c.MaxOffset} {
		_, err := bound(ctx, q)
		require.NoError(t, err)
	}
	at, err := c.OffsetAt(ctx, q, 0)
	require.NoError(t, err)
	require.Zero(t, at)
}

func TestConfigurationIsSeenAndTopicsGo(t *testing.T) {
	c, ctx := start(t)
	b := theBroker(t, c, ctx)
	require.NoError(t, c.CreateTopic(ctx, b.Addr, &client.TopicConfig{Name: "t", ReadQueues: 2, WriteQueues: 3, Perm: client.PermRead}))
	names, err := c.Topics(ctx)
	require.NoError(t, err)
	require.Contains(t, names, "t")
	configs, err := c.TopicConfigs(ctx, b.Addr)
	require.NoError(t, err)
	require.Len(t, configs, len(names))
	_, err = c.Send(ctx, &client.Outgoing{Topic: "t", Body: []byte("m")})
	require.True(t, client.IsRefused(err, remoting.RespNoPermission), err)
	require.NoError(t, c.DeleteTopic(ctx, "t"))
	_, err = c.Route(ctx, "t")
	require.True(t, client.IsRefused(err, remoting.RespTopicNotExist), err)
	groups, err := c.Groups(ctx, b.Addr)
	require.NoError(t, err)
	require.NotEmpty(t, groups)
	require.NoError(t, c.DeleteGroup(ctx, b.Addr, "none"))
	members, err := c.Members(ctx, b.Addr, "none")
	require.NoError(t, err)
	require.Empty(t, members)
	info, err := c.RuntimeInfo(ctx, b.Addr)
	require.NoError(t, err)
	require.Equal(t, "0", info["timerCongestNum"])
}

func TestPendingMessagesMoveFromOneBrokerToAnother(t *testing.T) {
	from, ctx := start(t)
	to, _ := start(t)
	a, b := theBroker(t, from, ctx), theBroker(t, to, ctx)
	at := time.Now().Add(time.Hour).UnixMilli()
	for i := range 10 {
		props := message.AppendProperty(nil, message.PropTimerDeliverMs, strconv.FormatInt(at+int64(i), 10))
		_, err := from.Send(ctx, &client.Outgoing{Topic: "t", Queue: -1, Body: []byte{byte(i)}, Properties: string(props)})
		require.NoError(t, err)
	}
	counts, err := from.PendingCounts(ctx, a.Addr, &client.PendingQuery{FromMs: at, StepMs: 5, Ranges: 3, ByTopic: true, Topic: "t"})
	require.NoError(t, err)
	require.Equal(t, []int64{5, 5, 0}, counts.Counts)
	require.Equal(t, map[string]int64{"t": 10}, counts.Topics)

	var body []byte
	n := 0
	for e, err := range from.Pending(ctx, a.Addr, client.PendingRange{FromMs: at, ToMs: at + 100, Topic: "t", Max: 7}) {
		require.NoError(t, err)
		require.Equal(t, at+int64(n), e.FireMs)
		body = message.AppendEnvelope(body, &e)
		n++
	}
	require.Equal(t, 7, n)
	res, err := to.Import(ctx, b.Addr, body, false)
	require.NoError(t, err)
	require.Equal(t, 7, res.Imported)
	res, err = to.Import(ctx, b.Addr, body, true)
	require.NoError(t, err)
	require.Equal(t, 7, res.Skipped)
}

// hangUp answers a request of code 1 and closes the connection at any other.
type hangUp struct{}

func (hangUp) Handle(c *remoting.Conn, cmd *remoting.Command) {
	if cmd.Code != 1 {
		c.Close()
		return
	}
	_ = c.Reply(cmd.Token(), remoting.RespSuccess, "", nil, nil)
}
func (hangUp) Closed(*remoting.Conn) {}

func TestAConnectionThatEndedIsDialedAgain(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	s := remoting.NewServer(hangUp{}, nil)
	served := make(chan error, 1)
	go func() { served <- s.Serve(l) }()
	t.Cleanup(func() { s.Close(); <-served })
	c := client.New(&client.Options{Timeout: patience})
	defer c.Close()
	addr := l.Addr().String()
	_, err = c.Do(t.Context(), addr, 1, nil)
	require.NoError(t, err)
	_, err = c.Do(t.Context(), addr, 2, nil)
	require.ErrorContains(t, err, addr)
	_, err = c.Do(t.Context(), addr, 1, nil)
	require.NoError(t, err)
}

func TestErrorsNameTheAddressAndTheReason(t *testing.T) {
	c := client.New(&client.Options{NameServer: "127.0.0.1:1"})
	_, err := c.Brokers(t.Context())
	require.ErrorContains(t, err, "dial 127.0.0.1:1")
	require.NoError(t, c.Close())
	require.NoError(t, c.Close())
	_, err = c.Brokers(t.Context())
	require.ErrorIs(t, err, client.ErrClosed)

	live, ctx := start(t)
	_, err = live.Route(ctx, "none")
	var refused *client.RefusedError
	require.True(t, errors.As(err, &refused))
	require.ErrorContains(t, err, "TOPIC_NOT_EXIST")
	require.NotEmpty(t, refused.Addr)
	_, err = live.Do(ctx, refused.Addr, 29_999, nil)
	require.True(t, client.IsRefused(err, remoting.RespRequestCodeNotSupported), err)
}

// What waits is found by its id, for an exact time or by a delay level, and recalled.
func TestAMessageThatWaitsIsFoundByItsIDAndRecalled(t *testing.T) {
	c, ctx := start(t)
	b := theBroker(t, c, ctx)
	for id, delay := range map[string]string{"TIMED": message.PropTimerDelayMs, "LEVEL": message.PropDelayLevel} {
		props := message.AppendProperty(message.AppendProperty(nil, message.PropUniqKey, id), delay, map[string]string{"TIMED": "3600000", "LEVEL": "18"}[id])
		sent, err := c.Send(ctx, &client.Outgoing{Topic: "t", Queue: -1, Body: []byte(id), Properties: string(props), Group: "p"})
		require.NoError(t, err)
		found, err := c.QueryID(ctx, b.Addr, "t", id)
		require.NoError(t, err)
		require.Len(t, found, 1)
		require.Equal(t, id, string(found[0].Body))
		due, err := strconv.ParseInt(message.Get(found[0].Properties, message.PropTimerOutMs), 10, 64)
		require.NoError(t, err)
		h := &message.RecallHandle{Topic: "t", Broker: sent.Broker, ID: id, DueMs: due}
		if id == "TIMED" {
			require.Equal(t, sent.Recall, string(message.AppendRecallHandle(nil, h)))
		}
		for range 2 { // again is as good
			require.NoError(t, c.Recall(ctx, b.Addr, h))
		}
		found, err = c.QueryID(ctx, b.Addr, "t", id)
		require.NoError(t, err)
		require.Empty(t, found)
		h.DueMs++
		require.True(t, client.IsRefused(c.Recall(ctx, b.Addr, h), remoting.RespQueryNotFound))
	}
	_, err := c.QueryID(ctx, b.Addr, "", "x")
	require.True(t, client.IsRefused(err, remoting.RespInvalidParameter))
}
