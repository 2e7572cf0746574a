package e2e

import (
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// reconnectWithin bounds how long clients may take to work with a broker that
// was restarted. Their heartbeats are 30 s apart, and a broker does not know
// them before the first.
const reconnectWithin = 60 * time.Second

// survivesKill schedules messages over some seconds, kills the broker with
// SIGKILL in the middle, and starts it again a moment later. Some messages were
// delivered before, some are due while it is down, some are due after. Another
// producer goes on sending all the time: what was acknowledged must come.
func survivesKill(t *testing.T, r *rig) {
	const topic, n = "killed", 80
	p, box := listen(t, r, Subscription{Topic: topic, Group: topic})
	start := time.Now().Add(2 * time.Second)
	due := map[string]int64{}
	var sent []Sent
	for i := range n {
		at := start.Add(time.Duration(i) * 100 * time.Millisecond).UnixMilli()
		s := p.Send(t, Message{
			Topic: topic,
			Body:  fmt.Sprint(i),
			Tags:  "TagA",
			Delay: "TIMER_DELIVER_MS",
			Value: strconv.FormatInt(at, 10),
		})
		due[s.ID] = at
		sent = append(sent, s)
	}
	steady := sendSteadily(r.client.Produce(t, ProducerOptions{}), topic)
	AwaitAll(t, []*Inbox{box}, sent[:n/4], late+time.Until(start.Add(n/4*100*time.Millisecond)))
	r.broker.Kill(t)
	killed := time.Now()
	time.Sleep(time.Second)
	r.broker.Start(t)

	got := AwaitAll(t, []*Inbox{box}, sent, reconnectWithin)
	t.Logf("everything was there %d ms after the kill", time.Since(killed).Milliseconds())
	for _, s := range sent {
		for _, m := range got[s.ID] {
			intact(t, s, m)
			require.GreaterOrEqual(t, m.At, due[s.ID], "came too early")
			require.Equal(t, got[s.ID][0].Queue, m.Queue)
			require.Equal(t, got[s.ID][0].Offset, m.Offset, "a message has been fired twice")
		}
		if due[s.ID] > killed.UnixMilli() {
			once(t, got[s.ID])
		}
	}
	requireWorks(t, p, box, topic)
	acknowledged, refused := steady()
	AwaitAll(t, []*Inbox{box}, acknowledged, reconnectWithin)
	t.Logf("%d acknowledged around the kill, %d not", len(acknowledged), refused)
	require.NotEmpty(t, acknowledged)
}

// sendSteadily sends one message after the other, ordinary and scheduled ones,
// until the returned function is called. That tells which were acknowledged, and
// how many were not. A client may send those again by itself, so they can come
// repeatedly.
func sendSteadily(p *Producer, topic string) (stop func() (acknowledged []Sent, refused int)) {
	ask, done := make(chan struct{}), make(chan struct{})
	var acknowledged []Sent
	refused := 0
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			m := Message{Topic: topic, Body: fmt.Sprint("steady ", i)}
			if i%2 == 1 {
				m.Delay, m.Value = "TIMER_DELAY_MS", "1500"
			}
			sent, err := p.TrySend(m)
			if err == nil {
				acknowledged = append(acknowledged, sent)
			} else {
				refused++
			}
			select {
			case <-ask:
				return
			case <-time.After(5 * time.Millisecond):
			}
		}
	}()
	return func() ([]Sent, int) {
		close(ask)
		<-done
		return acknowledged, refused
	}
}

// survivesStop stops the broker with SIGTERM while clients are connected and a
// message is pending, and starts it again.
func survivesStop(t *testing.T, r *rig) {
	const topic = "stopped"
	p, box := listen(t, r, Subscription{Topic: topic, Group: topic})
	consumed := p.Send(t, Message{Topic: topic, Body: "before the stop"})
	box.Await(t, consumed, late)
	box.Stop(t)
	pending := p.Send(t, Message{Topic: topic, Body: "pending", Delay: "TIMER_DELAY_SEC", Value: "3"})
	r.broker.Stop(t)
	r.broker.Start(t)

	box = r.client.Consume(t, Subscription{Topic: topic, Group: topic, Instance: "after-stop"})
	got := once(t, box.Await(t, pending, reconnectWithin))
	intact(t, pending, got)
	require.GreaterOrEqual(t, got.At, pending.Began+3000)
	require.Empty(t, box.Has(consumed.ID), "offsets must survive the stop")
	requireWorks(t, p, box, topic)
}

// requireWorks sends and schedules something new.
func requireWorks(t *testing.T, p *Producer, box *Inbox, topic string) {
	t.Helper()
	for _, delay := range []string{"0", "1000"} {
		sent := p.SendUntil(t, Message{Topic: topic, Body: "new", Delay: "TIMER_DELAY_MS", Value: delay}, reconnectWithin)
		intact(t, sent, once(t, box.Await(t, sent, time.Second+late)))
	}
}
