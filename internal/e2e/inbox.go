package e2e

import (
	"encoding/base64"
	"fmt"
	"maps"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Subscription is what a consumer asks for.
type Subscription struct {
	Topic      string
	Group      string   // default: a new one
	Expression string   // tags; default "*"
	Instance   string   // two consumers of a group in one process need different ones
	Ordered    bool     // one message of a queue at a time, in order
	Fail       int      // how often each message is refused before it is accepted
	Properties []string // user properties to report, for clients that cannot list them
}

// Received is one delivery of a message to a consumer.
type Received struct {
	At          int64 // clock of the consumer, ms
	Topic       string
	ID          string
	Body        string
	Tags        string
	Keys        string
	Properties  map[string]string // those of the client and the broker too
	Queue       int64
	Offset      int64 // slot in the queue
	Reconsumed  int64 // how often it came before
	Born        int64 // ms
	Stored      int64 // ms; for a scheduled message, when it was fired
	deliveredTo *Inbox
}

func received(r url.Values) Received {
	body, _ := base64.StdEncoding.DecodeString(r.Get("body"))
	m := Received{
		At:         number(r, "at"),
		Topic:      r.Get("topic"),
		ID:         r.Get("msg_id"),
		Body:       string(body),
		Tags:       r.Get("tags"),
		Keys:       r.Get("keys"),
		Properties: map[string]string{},
		Queue:      number(r, "queue"),
		Offset:     number(r, "offset"),
		Reconsumed: number(r, "reconsumed"),
		Born:       number(r, "born"),
		Stored:     number(r, "stored"),
	}
	for k := range r {
		if name, ok := strings.CutPrefix(k, "prop."); ok {
			m.Properties[name] = r.Get(k)
		}
	}
	return m
}

// Inbox is a running consumer and what it has received so far.
type Inbox struct {
	client *Client
	name   string

	mu      sync.Mutex
	all     []Received
	changed chan struct{} // closed and replaced with each delivery
}

// Consume starts a consumer. It stops with the test.
func (c *Client) Consume(t *testing.T, s Subscription) *Inbox {
	t.Helper()
	name := c.unique("consumer")
	if s.Group == "" {
		s.Group = name
	}
	if s.Expression == "" {
		s.Expression = "*"
	}
	box := &Inbox{client: c, name: name, changed: make(chan struct{})}
	c.mu.Lock()
	c.boxes[name] = box
	c.mu.Unlock()
	_, err := c.call("consume", url.Values{
		"name":       {name},
		"group":      {s.Group},
		"instance":   {c.instance(s.Instance)},
		"topic":      {s.Topic},
		"expression": {s.Expression},
		"fail":       {fmt.Sprint(s.Fail)},
		"ordered":    {flagged(s.Ordered, "1", "")},
		"properties": {strings.Join(s.Properties, ",")},
	})
	require.NoError(t, err, "start consumer of %s", s.Topic)
	t.Cleanup(func() { box.stop() })
	return box
}

// Stop shuts the consumer down as an application does: it commits its offsets.
// A delivery is reported here before the client counts it as consumed, hence
// the pause: without it the last one may rightly come again.
func (b *Inbox) Stop(t *testing.T) {
	t.Helper()
	time.Sleep(500 * time.Millisecond)
	require.NoError(t, b.stop(), "stop consumer")
}

func (b *Inbox) stop() error {
	_, err := b.client.call("stop", url.Values{"name": {b.name}})
	return err
}

func (b *Inbox) add(m Received) {
	m.deliveredTo = b
	b.mu.Lock()
	defer b.mu.Unlock()
	b.all = append(b.all, m)
	close(b.changed)
	b.changed = make(chan struct{})
}

// Has returns the deliveries of the message with this id.
func (b *Inbox) Has(id string) []Received {
	return b.matching(func(m Received) bool { return m.ID == id })
}

// matching returns the deliveries that are wanted, in the order they came.
func (b *Inbox) matching(wanted func(Received) bool) []Received {
	b.mu.Lock()
	defer b.mu.Unlock()
	var found []Received
	for _, m := range b.all {
		if wanted(m) {
			found = append(found, m)
		}
	}
	return found
}

// Await waits until the consumer has the message, and returns its deliveries.
func (b *Inbox) Await(t *testing.T, sent Sent, within time.Duration) []Received {
	t.Helper()
	return AwaitAll(t, []*Inbox{b}, []Sent{sent}, within)[sent.ID]
}

// AwaitAll waits until the consumers together have all messages, and returns
// the deliveries of these by message id. More than one for an id means that a
// message came repeatedly.
func AwaitAll(t *testing.T, boxes []*Inbox, sent []Sent, within time.Duration) map[string][]Received {
	t.Helper()
	missing := map[string]Sent{}
	for _, s := range sent {
		missing[s.ID] = s
	}
	wanted := maps.Clone(missing)
	timeout := time.After(within)
	for {
		var changes []<-chan struct{}
		got := map[string][]Received{}
		for _, b := range boxes {
			b.mu.Lock()
			for _, m := range b.all {
				if _, ok := wanted[m.ID]; ok {
					got[m.ID] = append(got[m.ID], m)
					delete(missing, m.ID)
				}
			}
			changes = append(changes, b.changed)
			b.mu.Unlock()
		}
		if len(missing) == 0 {
			return got
		}
		select {
		case <-either(changes):
		case <-timeout:
			require.FailNow(t, "messages did not come", "%d of %d within %v, for example %+v",
				len(missing), len(wanted), within, slices.Collect(maps.Values(missing))[0])
		}
	}
}

// either is closed or ready when one of the channels is, or after a while.
func either(channels []<-chan struct{}) <-chan struct{} {
	if len(channels) == 1 {
		return channels[0]
	}
	any := make(chan struct{})
	time.AfterFunc(50*time.Millisecond, func() { close(any) })
	return any
}
