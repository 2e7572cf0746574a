package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

const (
	poll   = 20 * time.Millisecond
	queues = 4 // of a topic that a send has made
)

func tagsSelect(t *testing.T, r *rig) {
	const topic = "tags"
	p, some := listen(t, r, Subscription{Topic: topic, Expression: "A || C"})
	_, all := listen(t, r, Subscription{Topic: topic})
	var want, sent []Sent
	for _, delay := range []string{"0", "1000"} {
		for _, tag := range []string{"A", "B", "C", ""} {
			s := p.Send(t, Message{Topic: topic, Tags: tag, Body: "tag " + tag, Delay: "TIMER_DELAY_MS", Value: delay})
			sent = append(sent, s)
			if tag == "A" || tag == "C" {
				want = append(want, s)
			}
		}
	}
	AwaitAll(t, []*Inbox{all}, sent, late)
	AwaitAll(t, []*Inbox{some}, want, late)
	// A last one in each queue: whatever was before it has been looked at.
	var last []Sent
	for range 2 * queues {
		last = append(last, p.Send(t, Message{Topic: topic, Tags: "C", Body: "last"}))
	}
	AwaitAll(t, []*Inbox{some}, last, late)
	require.Empty(t, some.matching(func(m Received) bool { return m.Tags != "A" && m.Tags != "C" }))
}

func twoShare(t *testing.T, r *rig) {
	const topic, n = "shared", 40
	p, one := listen(t, r, Subscription{Topic: topic, Group: "sharing"})
	two := r.client.Consume(t, Subscription{Topic: topic, Group: "sharing", Instance: "two"})
	boxes := []*Inbox{one, two}
	settle(t, p, topic, boxes)

	var sent []Sent
	for i := range n {
		sent = append(sent, p.Send(t, Message{Topic: topic, Body: fmt.Sprint(i), Delay: "TIMER_DELAY_MS", Value: "1500"}))
	}
	got := AwaitAll(t, boxes, sent, late)
	share := map[*Inbox]int{}
	for _, s := range sent {
		m := once(t, got[s.ID])
		intact(t, s, m)
		share[m.deliveredTo]++
	}
	require.Len(t, share, 2, "both must get messages")
}

// settle waits until two consumers have divided the queues: then each of a
// round of messages comes once, and some come to each.
func settle(t *testing.T, p *Producer, topic string, boxes []*Inbox) {
	t.Helper()
	for deadline := time.Now().Add(startWithin); time.Now().Before(deadline); {
		var round []Sent
		for range 2 * queues {
			round = append(round, p.Send(t, Message{Topic: topic, Body: primer}))
		}
		got := AwaitAll(t, boxes, round, startWithin)
		time.Sleep(500 * time.Millisecond)
		divided := true
		for _, box := range boxes {
			divided = divided && slices.ContainsFunc(round, func(s Sent) bool { return len(box.Has(s.ID)) > 0 })
		}
		for _, s := range round {
			divided = divided && len(got[s.ID]) == 1
		}
		if divided {
			return
		}
	}
	require.FailNow(t, "the consumers have not divided the queues", "within %v", startWithin)
}

func groupsAreIndependent(t *testing.T, r *rig) {
	const topic = "groups"
	p, one := listen(t, r, Subscription{Topic: topic})
	_, two := listen(t, r, Subscription{Topic: topic})
	sent := p.Send(t, Message{Topic: topic, Body: "for all", Delay: "TIMER_DELAY_MS", Value: "800"})
	for _, box := range []*Inbox{one, two} {
		intact(t, sent, once(t, box.Await(t, sent, late)))
	}
}

// refusedComesAgain takes long: the first retry is 10 s later, and the clients
// look for the retry topic every 30 s only.
func refusedComesAgain(t *testing.T, r *rig) {
	const topic = "refused-by-consumer"
	p := r.client.Produce(t, ProducerOptions{})
	sent := p.Send(t, Message{Topic: topic, Tags: "TagA", Keys: "k", Body: "once more, please"})
	box := r.client.Consume(t, Subscription{Topic: topic, Fail: 1})
	require.Eventually(t, func() bool { return len(box.Has(sent.ID)) >= 2 }, startWithin+20*time.Second, poll)
	got := box.Has(sent.ID)
	for i, m := range got {
		intact(t, sent, m)
		require.EqualValues(t, i, m.Reconsumed)
	}
	require.GreaterOrEqual(t, got[1].At-got[0].At, int64(10_000), "the first retry is after 10 s")
}

func orderedConsumer(t *testing.T, r *rig) {
	const topic, n = "ordered", 30
	p, box := listen(t, r, Subscription{Topic: topic, Ordered: true})
	var sent []Sent
	for i := range n {
		sent = append(sent, p.Send(t, Message{Topic: topic, Body: fmt.Sprint(i), Shard: shard(r.client, i)}))
	}
	AwaitAll(t, []*Inbox{box}, sent, startWithin)
	got := box.matching(func(m Received) bool { return m.Body != primer })
	require.Len(t, got, n)
	arrival := map[string]int{}
	for i, m := range got {
		arrival[m.ID] = i
	}
	for i := 3; i < n; i++ {
		if r.client.Sharding {
			require.Less(t, arrival[sent[i-3].ID], arrival[sent[i].ID], "messages of a shard must keep their order")
		}
	}
	for _, queue := range byQueue(got) {
		require.True(t, slices.IsSortedFunc(queue, func(a, b Received) int { return arrival[a.ID] - arrival[b.ID] }),
			"messages of a queue must keep their order")
	}
}

func shard(c *Client, i int) string {
	if !c.Sharding {
		return ""
	}
	return fmt.Sprint("shard-", i%3)
}

func offsetsAreKept(t *testing.T, r *rig) {
	const topic, group = "offsets", "offsets"
	p, first := listen(t, r, Subscription{Topic: topic, Group: group})
	var before, after []Sent
	for i := range 2 * queues {
		before = append(before, p.Send(t, Message{Topic: topic, Body: fmt.Sprint("before ", i)}))
	}
	AwaitAll(t, []*Inbox{first}, before, late)
	first.Stop(t)
	for i := range 2 * queues {
		after = append(after, p.Send(t, Message{Topic: topic, Body: fmt.Sprint("after ", i)}))
	}
	second := r.client.Consume(t, Subscription{Topic: topic, Group: group})
	got := AwaitAll(t, []*Inbox{second}, after, startWithin)
	for _, s := range after {
		once(t, got[s.ID])
	}
	for _, s := range before {
		require.Empty(t, second.Has(s.ID), "a message that was consumed must not come again")
	}
}
