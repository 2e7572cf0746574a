package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// startWithin bounds how long a new consumer may take until messages come: its
// first look at the queues may be 20 s away when another joins the group.
const startWithin = 45 * time.Second

// primer is the body of messages that only make a topic and wake consumers.
const primer = "primer"

// listen makes a topic by sending to it, starts a consumer, and returns when
// that gets messages.
func listen(t *testing.T, r *rig, s Subscription) (*Producer, *Inbox) {
	t.Helper()
	p := r.client.Produce(t, ProducerOptions{Sharded: s.Ordered && r.client.Sharding})
	tag, _, _ := strings.Cut(s.Expression, " ")
	// The C++ client says that a new topic has no route when another of its threads is
	// asking for one for long: it is asked again, as by any program.
	sent := p.SendUntil(t, Message{Topic: s.Topic, Body: primer, Tags: strings.Trim(tag, "*")}, startWithin)
	box := r.client.Consume(t, s)
	box.Await(t, sent, startWithin)
	return p, box
}

// once requires that a message came exactly once so far.
func once(t *testing.T, deliveries []Received) Received {
	t.Helper()
	require.Len(t, deliveries, 1, "a message must come once")
	return deliveries[0]
}

// intact requires that what came is what was sent.
func intact(t *testing.T, sent Sent, got Received) {
	t.Helper()
	require.Equal(t, sent.Topic, got.Topic)
	require.Equal(t, sent.ID, got.ID)
	require.Equal(t, sent.Body, got.Body)
	require.Equal(t, sent.Tags, got.Tags)
	require.Equal(t, sent.Keys, got.Keys)
	for k, v := range sent.Properties {
		require.Equal(t, v, got.Properties[k], "property %s", k)
	}
	require.GreaterOrEqual(t, got.Born, sent.Began)
	require.LessOrEqual(t, got.Born, sent.Ended)
}
