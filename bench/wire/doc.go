// Package wire drives a RocketMQ broker, duelogd or another, through the remoting
// protocol: publishers that pipeline sends, and a consumer that pulls all queues
// of a topic at once. It makes the publishers and subscriptions of a bench.System
// for any process that speaks the protocol, so that all of them are measured with
// the same client.
//
// A publisher is one connection. Messages go round the queues by id. The time of
// a scheduled one is the property TIMER_DELIVER_MS.
//
// A consumer is one connection too, with one pull per queue under way. The next
// pull of a queue leaves before the messages of the last one are handed over.
// Positions are kept here, not at the broker: a group that subscribes again goes
// on where it was.
//
// It does not reconnect, look for routes, rebalance or retry a send. Package
// server/client does more and pipelines nothing.
package wire

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/remoting"
)

// Options of a Topic. The zero value of a field means its default.
type Options struct {
	// Addr is the broker's, HOST:PORT. Required.
	Addr string
	// Topic is created when it is missing. Default "bench".
	Topic string
	// Queues is how many the topic has. Default 8.
	Queues int
	// Serialize is the form of request headers; JSON is what clients use by default.
	Serialize remoting.Serialize
	// Hold is how long a pull may wait at the broker. Default 10 s.
	Hold time.Duration
}

// Topic is a topic of a broker. Its methods may be called from any goroutine.
type Topic struct {
	o Options

	mu        sync.Mutex
	positions map[string][]int64 // by group, the next offset of each queue
}

// Create makes the topic at the broker and returns it.
func Create(ctx context.Context, o Options) (*Topic, error) {
	if o.Topic == "" {
		o.Topic = "bench"
	}
	if o.Queues == 0 {
		o.Queues = 8
	}
	if o.Hold == 0 {
		o.Hold = 10 * time.Second
	}
	t := &Topic{o: o, positions: map[string][]int64{}}
	queues := int32(o.Queues)
	c := client.New(&client.Options{Timeout: time.Minute}) // a server that has just started may be slow
	defer c.Close()
	config := client.TopicConfig{Name: o.Topic, ReadQueues: queues, WriteQueues: queues, Perm: client.PermRead | client.PermWrite}
	if err := c.CreateTopic(ctx, o.Addr, &config); err != nil {
		return nil, fmt.Errorf("create topic %s: %w", o.Topic, err)
	}
	return t, nil
}

// Move makes later publishers and subscriptions use another address, for a broker
// that was restarted.
func (t *Topic) Move(addr string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.o.Addr = addr
}

func (t *Topic) dial(ctx context.Context) (*remoting.Client, error) {
	t.mu.Lock()
	addr := t.o.Addr
	t.mu.Unlock()
	return remoting.Dial(ctx, addr, nil)
}

// defaultTopic is the one whose settings an unknown topic inherits; part of the
// protocol.
const defaultTopic = "TBW102"

func field(key, value string) remoting.Field { return remoting.Field{Key: key, Value: value} }

func (t *Topic) request(code int32, ext ...remoting.Field) *remoting.Command {
	c := remoting.NewRequest(code, ext...)
	c.Serialize = t.o.Serialize
	return c
}

// Name returns the topic's name.
func (t *Topic) Name() string { return t.o.Topic }
