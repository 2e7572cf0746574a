package e2e

import (
	"encoding/base64"
	"net/url"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// Producer is a running producer of a client.
type Producer struct {
	client *Client
	name   string
}

// ProducerOptions are a producer's settings; the zero value is an ordinary one.
type ProducerOptions struct {
	Group         string // default: a new one
	Transactional bool   // for SendInTransaction
	Sharded       bool   // for messages with a Shard
	VIP           bool   // send over the VIP channel
}

// Mode is how a message is sent.
type Mode string

// The ways to send. Sync waits for the result.
const (
	Sync        Mode = "sync"
	Async       Mode = "async"
	Oneway      Mode = "oneway"
	Batch       Mode = "batch"
	Transaction Mode = "transaction"
)

// Message is what a test sends.
type Message struct {
	Topic      string
	Body       string
	Tags       string
	Keys       string
	Properties map[string]string
	Delay      string // property that carries the delay, for example TIMER_DELAY_MS; "" = none
	Value      string // its value
	Shard      string // key that chooses the queue
	Mode       Mode   // default Sync
	Count      int    // messages in a batch; their bodies are Body followed by 0, 1, ...
}

// Sent is what became of a message.
type Sent struct {
	Message
	Began, Ended int64  // clock around the call, ms
	Status       string // SEND_OK; "" for Oneway
	ID           string // the client's message id, which the consumer sees too; "" for Oneway, and for Batch from some clients
	Handle       string // for Recall; "" if the message does not wait for an exact time
}

// Produce starts a producer. It stops with the test.
func (c *Client) Produce(t *testing.T, o ProducerOptions) *Producer {
	t.Helper()
	p := &Producer{client: c, name: c.unique("producer")}
	if o.Group == "" {
		o.Group = p.name
	}
	instance := flagged(o.VIP, "vip", "")
	if o.Transactional {
		// In the Go client, producers of one instance share a handler for the
		// broker's questions, which knows the first one's group only.
		instance = "transactional"
	}
	_, err := c.call("produce", url.Values{
		"name":          {p.name},
		"group":         {o.Group},
		"instance":      {c.instance(instance)},
		"transactional": {flagged(o.Transactional, "1", "")},
		"sharded":       {flagged(o.Sharded, "1", "")},
		"vip":           {flagged(o.VIP, "1", "")},
	})
	require.NoError(t, err, "start producer")
	t.Cleanup(func() { c.call("stop", url.Values{"name": {p.name}}) })
	return p
}

// Send sends m and requires that it succeeds.
func (p *Producer) Send(t *testing.T, m Message) Sent {
	t.Helper()
	sent, err := p.TrySend(m)
	require.NoError(t, err, "send to %s", m.Topic)
	if m.Mode != Oneway {
		require.Equal(t, "SEND_OK", sent.Status)
	}
	return sent
}

// SendUntil sends m again and again until the broker takes it, as applications
// do when it restarts.
func (p *Producer) SendUntil(t *testing.T, m Message, within time.Duration) Sent {
	t.Helper()
	deadline := time.Now().Add(within)
	for {
		sent, err := p.TrySend(m)
		if err == nil {
			return sent
		}
		if time.Now().After(deadline) {
			require.NoError(t, err, "send to %s", m.Topic)
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// TrySend sends m. The error is a *ClientError when the client threw.
func (p *Producer) TrySend(m Message) (Sent, error) {
	if m.Mode == "" {
		m.Mode = Sync
	}
	fields := url.Values{
		"producer": {p.name},
		"mode":     {string(m.Mode)},
		"topic":    {m.Topic},
		"body":     {base64.StdEncoding.EncodeToString([]byte(m.Body))},
		"tags":     {m.Tags},
		"keys":     {m.Keys},
		"delay":    {m.Delay},
		"value":    {m.Value},
		"shard":    {m.Shard},
		"count":    {strconv.Itoa(m.Count)},
	}
	for k, v := range m.Properties {
		fields.Set("prop."+k, v)
	}
	answer, err := p.client.call("send", fields)
	if err != nil {
		return Sent{}, err
	}
	return Sent{
		Message: m,
		Began:   number(answer, "began"),
		Ended:   number(answer, "ended"),
		Status:  answer.Get("status"),
		ID:      answer.Get("msg_id"),
		Handle:  answer.Get("handle"),
	}, nil
}

func flagged(on bool, yes, no string) string {
	if on {
		return yes
	}
	return no
}
