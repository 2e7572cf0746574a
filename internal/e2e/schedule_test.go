package e2e

import (
	"fmt"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// late bounds how long after its time a message may come. It is generous: these
// tests run several clients on few cores, and a JVM may have just begun.
const late = 5 * time.Second

// A spelling is one way to ask for a delay.
type spelling struct {
	property string
	delay    time.Duration
	absolute bool   // the value is the time in ms, by the clock of the client
	value    string // for relative ones
}

var spellings = []spelling{
	{property: "DELAY", delay: time.Second, value: "1"},
	{property: "TIMER_DELAY_SEC", delay: 2 * time.Second, value: "2"},
	{property: "TIMER_DELAY_MS", delay: 1500 * time.Millisecond, value: "1500"},
	{property: "TIMER_DELIVER_MS", delay: 2345 * time.Millisecond, absolute: true},
	{property: "__STARTDELIVERTIME", delay: 3 * time.Second, absolute: true},
}

func deliversAtItsTime(t *testing.T, r *rig) {
	const topic = "at-its-time"
	p, box := listen(t, r, Subscription{Topic: topic, Properties: []string{"order", "note"}})
	for _, s := range spellings {
		t.Run(s.property, func(t *testing.T) {
			t.Parallel()
			value, due := s.value, int64(0)
			if s.absolute {
				due = time.Now().Add(s.delay).UnixMilli()
				value = strconv.FormatInt(due, 10)
			}
			sent := p.Send(t, Message{
				Topic:      topic,
				Body:       body(r.client, s.property),
				Tags:       "TagA",
				Keys:       "key-" + s.property,
				Properties: map[string]string{"order": "42", "note": "ünïcode & = ?"},
				Delay:      s.property,
				Value:      value,
			})
			earliest, latest := sent.Began+s.delay.Milliseconds(), sent.Ended+s.delay.Milliseconds()
			if s.absolute {
				earliest, latest = due, due
			}
			got := once(t, box.Await(t, sent, s.delay+late))
			intact(t, sent, got)
			require.GreaterOrEqual(t, got.Stored, earliest, "fired too early")
			require.GreaterOrEqual(t, got.At, earliest, "came too early")
			require.LessOrEqual(t, got.At, latest+late.Milliseconds(), "came too late")
			t.Logf("%s: fired %d ms, came %d ms after the earliest time", s.property, got.Stored-earliest, got.At-earliest)
		})
	}
}

// body is a body as varied as the client's API allows.
func body(c *Client, text string) string {
	text += ": schließe die unbezahlte Bestellung 注文"
	if c.BinaryBody {
		text += "\x00\x01\x02\xff\xfe"
	}
	return text
}

func pastMeansAtOnce(t *testing.T, r *rig) {
	const topic = "past"
	p, box := listen(t, r, Subscription{Topic: topic})
	for property, ago := range map[string]time.Duration{
		"TIMER_DELIVER_MS":   time.Minute,
		"__STARTDELIVERTIME": 24 * time.Hour,
	} {
		value := strconv.FormatInt(time.Now().Add(-ago).UnixMilli(), 10)
		sent := p.Send(t, Message{Topic: topic, Body: "late already", Delay: property, Value: value})
		got := once(t, box.Await(t, sent, late))
		intact(t, sent, got)
		require.LessOrEqual(t, got.At, sent.Ended+late.Milliseconds())
	}
}

// manyInOrder schedules messages in one order and expects them in another: by
// time in each queue.
func manyInOrder(t *testing.T, r *rig) {
	const topic, n = "many", 60
	p, box := listen(t, r, Subscription{Topic: topic, Ordered: true})
	start := time.Now().Add(4 * time.Second).UnixMilli()
	due := map[string]int64{}
	var sent []Sent
	for i := range n {
		at := start + int64(i*37%n)*50
		s := p.Send(t, Message{Topic: topic, Body: fmt.Sprint(i), Delay: "TIMER_DELIVER_MS", Value: strconv.FormatInt(at, 10)})
		due[s.ID] = at
		sent = append(sent, s)
	}
	var all []Received
	for _, deliveries := range AwaitAll(t, []*Inbox{box}, sent, 7*time.Second+late) {
		got := once(t, deliveries)
		require.GreaterOrEqual(t, got.At, due[got.ID], "came too early")
		require.LessOrEqual(t, got.At, due[got.ID]+late.Milliseconds(), "came too late")
		all = append(all, got)
	}
	// A message whose time had passed when it was sent is not among its peers.
	last := sent[n-1].Ended
	all = slices.DeleteFunc(all, func(m Received) bool { return due[m.ID] <= last })
	for _, queue := range byQueue(all) {
		require.True(t, slices.IsSortedFunc(queue, func(a, b Received) int { return int(due[a.ID] - due[b.ID]) }),
			"a queue must have the order of the times")
	}
}

// byQueue groups deliveries by queue, each in the order of its slots.
func byQueue(all []Received) map[int64][]Received {
	queues := map[int64][]Received{}
	for _, m := range all {
		queues[m.Queue] = append(queues[m.Queue], m)
	}
	for _, q := range queues {
		slices.SortFunc(q, func(a, b Received) int { return int(a.Offset - b.Offset) })
	}
	return queues
}

func refusalIsAnException(t *testing.T, r *rig) {
	const topic = "refused"
	p, box := listen(t, r, Subscription{Topic: topic})
	far := 367 * 24 * time.Hour
	refusals := []Message{
		{Delay: "TIMER_DELIVER_MS", Value: strconv.FormatInt(time.Now().Add(far).UnixMilli(), 10)},
		{Delay: "__STARTDELIVERTIME", Value: strconv.FormatInt(time.Now().Add(far).UnixMilli(), 10)},
		{Delay: "TIMER_DELAY_SEC", Value: strconv.Itoa(int(far.Seconds()))},
		{Delay: "__STARTDELIVERTIME", Value: "tomorrow"},
	}
	for _, m := range refusals {
		m.Topic, m.Body = topic, "never"
		_, err := p.TrySend(m)
		var thrown *ClientError
		require.ErrorAs(t, err, &thrown, "%s=%s must be refused", m.Delay, m.Value)
		require.NotEmpty(t, thrown.Text)
		if r.client.TellsCode {
			require.Equal(t, 13, thrown.Code, thrown.Text)
		}
		t.Logf("%s=%s: %v", m.Delay, m.Value, thrown)
	}
	// Still in order, and what is just inside the limit is taken.
	year := strconv.FormatInt(time.Now().Add(365*24*time.Hour).UnixMilli(), 10)
	p.Send(t, Message{Topic: topic, Body: "in a year", Delay: "TIMER_DELIVER_MS", Value: year})
	sent := p.Send(t, Message{Topic: topic, Body: "now"})
	once(t, box.Await(t, sent, late))
	require.Empty(t, box.matching(func(m Received) bool { return m.Body == "never" || m.Body == "in a year" }))
}
