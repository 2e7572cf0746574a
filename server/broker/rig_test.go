package broker

import (
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// rig is a broker over a real store behind a real listener.
type rig struct {
	t      testing.TB
	store  *store.Store
	broker *Broker
	addr   string
	reg    *prometheus.Registry
}

// patience bounds what a test waits for; nothing in a passing test takes it.
const patience = 20 * time.Second

// openStore opens a small store that is closed with the test.
func openStore(t testing.TB) *store.Store {
	st, err := store.Open(t.TempDir(), testStoreOptions())
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, st.Close()) })
	return st
}

func testStoreOptions() *store.Options {
	return &store.Options{SegmentSize: 4 << 20, DelaySegmentSize: 1 << 20, Keys: Keys, Logger: slog.New(slog.DiscardHandler)}
}

// newBroker returns a broker without a listener, closed with the test.
func newBroker(t testing.TB, st *store.Store, configDir string, o *Options) *Broker {
	opts := Options{AutoCreateTopic: true, AutoCreateGroup: true}
	if o != nil {
		opts = *o
	}
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	b, err := New(st, configDir, &opts)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, b.Close()) })
	return b
}

// newRig starts everything; o may be nil.
func newRig(t testing.TB, o *Options) *rig {
	r := &rig{t: t, store: openStore(t), reg: prometheus.NewRegistry()}
	opts := Options{AutoCreateTopic: true, AutoCreateGroup: true}
	if o != nil {
		opts = *o
	}
	opts.Registerer = r.reg
	r.broker = newBroker(t, r.store, t.TempDir(), &opts)
	r.serve()
	return r
}

func (r *rig) serve() { r.addr = r.listen(&remoting.ServerOptions{}) }

// listen serves the broker on one more address until the test ends.
func (r *rig) listen(o *remoting.ServerOptions) (addr string) {
	o.Logger = slog.New(slog.DiscardHandler)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(r.t, err)
	server := remoting.NewServer(r.broker, o)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	r.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		r.broker.Drain()
		require.NoError(r.t, server.Shutdown(ctx))
		<-done
	})
	return l.Addr().String()
}

// client is one connection to a rig.
type client struct {
	*remoting.Client
	t      testing.TB
	pushed chan *remoting.Command // what the broker sent unasked
}

func (r *rig) dial() *client {
	c := &client{t: r.t, pushed: make(chan *remoting.Command, 100)}
	var err error
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	c.Client, err = remoting.Dial(ctx, r.addr, &remoting.ClientOptions{
		OnRequest: func(_ *remoting.Conn, cmd *remoting.Command) { c.pushed <- cmd.Clone() },
	})
	require.NoError(r.t, err)
	r.t.Cleanup(func() { _ = c.Close() })
	return c
}

// ask sends a request and returns its answer.
func (c *client) ask(code int32, body any, ext ...string) *remoting.Command {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	resp, err := c.Invoke(ctx, request(c.t, code, body, ext...))
	require.NoError(c.t, err)
	return resp
}

// start sends a request whose answer comes on the returned channel.
func (c *client) start(code int32, ext ...string) <-chan *remoting.Command {
	answer := make(chan *remoting.Command, 1)
	c.Go(request(c.t, code, nil, ext...), func(resp *remoting.Command, err error) {
		if err == nil {
			answer <- resp.Clone()
		}
	})
	return answer
}

// request builds a request; body is bytes, a string or a value for JSON, ext
// are keys and values in turn.
func request(t testing.TB, code int32, body any, ext ...string) *remoting.Command {
	cmd := remoting.NewRequest(code)
	for i := 0; i < len(ext); i += 2 {
		cmd.Ext = append(cmd.Ext, remoting.Field{Key: ext[i], Value: ext[i+1]})
	}
	switch b := body.(type) {
	case nil:
	case []byte:
		cmd.Body = b
	case string:
		cmd.Body = []byte(b)
	default:
		var err error
		cmd.Body, err = json.Marshal(b)
		require.NoError(t, err)
	}
	return cmd
}

// await returns what comes on ch, or fails the test.
func await[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(patience):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// topic makes a topic with so many queues.
func (r *rig) topic(name string, queues int32) *Topic {
	r.t.Helper()
	topic, err := r.broker.topics.Ensure(name, queues, queues, permRead|permWrite)
	require.NoError(r.t, err)
	return topic
}

// put stores a message, visible at fireMs, past the producer's handlers.
func (r *rig) put(topic string, queue int32, tag, body string, fireMs int64) store.Result {
	r.t.Helper()
	top, ok := r.broker.topics.Lookup(topic)
	require.True(r.t, ok)
	q, err := top.queue(queue)
	require.NoError(r.t, err)
	m := message.Message{Topic: topic, QueueID: queue, Body: []byte(body), BornMs: 1}
	if tag != "" {
		m.Properties = string(message.AppendProperty(nil, message.PropTags, tag))
	}
	rec, err := message.Append(nil, &m)
	require.NoError(r.t, err)
	res, err := r.store.Put(context.Background(), &store.Message{Queue: q, FireMs: fireMs, Tag: uint32(message.Hash(tag)), Payload: rec})
	require.NoError(r.t, err)
	return res
}

// beat sends a heartbeat of one consumer.
func (c *client) beat(clientID, group string, subs ...heartbeatSubscription) *remoting.Command {
	c.t.Helper()
	return c.ask(remoting.ReqHeartBeat, heartbeat{ClientID: clientID, Consumers: []heartbeatConsumer{{Group: group, MessageModel: 1, Subscriptions: subs}}})
}

// pullExtOf is the header of a pull with the subscription inside, changed by
// the given keys and values.
func pullExtOf(topic, group string, offset int64, change ...string) []string {
	ext := []string{
		"consumerGroup", group, "topic", topic, "queueId", "0", "queueOffset", strconv.FormatInt(offset, 10),
		"maxMsgNums", "32", "sysFlag", "4", "commitOffset", "0", "suspendTimeoutMillis", "15000", "subscription", "*", "subVersion", "0",
	}
	return append(ext, change...) // of equal keys the last one counts
}

// bodies returns the bodies of the messages in a pull's answer.
func bodies(t testing.TB, resp *remoting.Command) []string {
	t.Helper()
	var list []string
	for _, m := range messages(t, resp) {
		list = append(list, string(m.Body))
	}
	return list
}

func messages(t testing.TB, resp *remoting.Command) []message.Message {
	t.Helper()
	require.Equal(t, remoting.RespSuccess, resp.Code, resp.Remark)
	var list []message.Message
	for rest := resp.Body; len(rest) > 0; {
		first, after, err := message.Split(rest)
		require.NoError(t, err)
		var m message.Message
		require.NoError(t, message.Decode(first, &m))
		require.NoError(t, message.CheckBody(&m))
		list = append(list, m)
		rest = after
	}
	return list
}

// metric sums a metric of reg over all its labels.
func metric(t testing.TB, reg prometheus.Gatherer, name string) float64 {
	t.Helper()
	families, err := reg.Gather()
	require.NoError(t, err)
	sum := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return sum
}

// counted is a Completer that counts down.
type counted struct{ left chan struct{} }

func (c counted) PutDone(uint64, store.Result, error) { c.left <- struct{}{} }

// fill stores n small messages with the same tag.
func (r *rig) fill(topic string, queue int32, tag string, n int) {
	r.t.Helper()
	top, _ := r.broker.topics.Lookup(topic)
	q, err := top.queue(queue)
	require.NoError(r.t, err)
	rec, err := message.Append(nil, &message.Message{Topic: topic, QueueID: queue, Body: []byte("m")})
	require.NoError(r.t, err)
	done := counted{make(chan struct{}, n)}
	for range n {
		require.NoError(r.t, r.store.PutAsync(&store.Message{Queue: q, Tag: uint32(message.Hash(tag)), Payload: rec}, done, 0))
	}
	for range n {
		await(r.t, done.left)
	}
}
