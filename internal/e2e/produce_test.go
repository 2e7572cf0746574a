package e2e

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func ordinaryAtOnce(t *testing.T, r *rig) {
	p, box := listen(t, r, Subscription{Topic: "ordinary", Properties: []string{"a"}})
	sent := p.Send(t, Message{
		Topic:      "ordinary",
		Body:       body(r.client, "now"),
		Tags:       "TagA",
		Keys:       "one two",
		Properties: map[string]string{"a": "b"},
	})
	intact(t, sent, once(t, box.Await(t, sent, late)))
}

// largeBody has a body that the Java and Go clients compress, and one that no
// compression makes smaller.
func largeBody(t *testing.T, r *rig) {
	p, box := listen(t, r, Subscription{Topic: "large"})
	size := 1 << 20
	if r.client.SmallBody {
		size = 100 << 10
	}
	letters := make([]byte, size)
	for i := range letters {
		letters[i] = byte('!' + rand.N(90))
	}
	for _, text := range []string{strings.Repeat("all alike ", size/10), string(letters)} {
		sent := p.Send(t, Message{Topic: "large", Body: text, Delay: "TIMER_DELAY_MS", Value: "500"})
		intact(t, sent, once(t, box.Await(t, sent, late)))
	}
}

func oneway(t *testing.T, r *rig) {
	p, box := listen(t, r, Subscription{Topic: "oneway"})
	p.Send(t, Message{Topic: "oneway", Mode: Oneway, Body: "one way", Tags: "TagA"})
	scheduled := p.Send(t, Message{Topic: "oneway", Mode: Oneway, Body: "one way, later", Delay: "TIMER_DELAY_MS", Value: "1200"})
	for _, text := range []string{"one way", "one way, later"} {
		require.Eventually(t, func() bool {
			return len(box.matching(func(m Received) bool { return m.Body == text })) == 1
		}, late, poll)
	}
	got := box.matching(func(m Received) bool { return m.Body == "one way, later" })
	require.GreaterOrEqual(t, got[0].At, scheduled.Began+1200)
}

func async(t *testing.T, r *rig) {
	p, box := listen(t, r, Subscription{Topic: "async"})
	sent := p.Send(t, Message{Topic: "async", Mode: Async, Body: "later", Delay: "TIMER_DELAY_MS", Value: "1000"})
	got := once(t, box.Await(t, sent, late))
	intact(t, sent, got)
	require.GreaterOrEqual(t, got.At, sent.Began+1000)

	_, err := p.TrySend(Message{Topic: "async", Mode: Async, Body: "never", Delay: "__STARTDELIVERTIME", Value: "soon"})
	var thrown *ClientError
	require.ErrorAs(t, err, &thrown)
	require.Equal(t, 13, thrown.Code, thrown.Text)
}

func batch(t *testing.T, r *rig) {
	const n = 10
	p, box := listen(t, r, Subscription{Topic: "batch"})
	sent := p.Send(t, Message{Topic: "batch", Mode: Batch, Count: n, Body: "item ", Tags: "TagA", Keys: "k"})
	for i := range n {
		text := fmt.Sprint("item ", i)
		var got []Received
		require.Eventually(t, func() bool {
			got = box.matching(func(m Received) bool { return m.Body == text })
			return len(got) > 0
		}, late, poll, text)
		require.Equal(t, "TagA", once(t, got).Tags)
		require.Equal(t, "k", got[0].Keys)
		require.GreaterOrEqual(t, got[0].Born, sent.Began)
	}
}

func vip(t *testing.T, r *rig) {
	_, box := listen(t, r, Subscription{Topic: "vip"})
	p := r.client.Produce(t, ProducerOptions{VIP: true})
	sent := p.Send(t, Message{Topic: "vip", Body: "by the side door", Delay: "TIMER_DELAY_MS", Value: "300"})
	intact(t, sent, once(t, box.Await(t, sent, late)))
}
