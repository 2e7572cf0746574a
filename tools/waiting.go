package tools

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
)

// named is a message as the command line names it: by its id and topic, or by the recall
// handle that the answer to its send had.
type named struct {
	topic, id string
	handle    *message.RecallHandle
}

// parseNamed reads ID or HANDLE; topic is --topic.
func parseNamed(s, topic string) (named, error) {
	h, ok := message.ParseRecallHandle(s)
	switch {
	case !ok && topic == "":
		return named{}, hint(usagef("%q is no recall handle, and for an id --topic is missing", s), "name the topic with --topic; duelogctl pending --list shows what waits")
	case !ok && (s == "" || strings.Contains(s, " ")):
		return named{}, usagef("%q cannot be recalled: in a recall handle an id is not empty and has no space", s)
	case !ok:
		return named{topic: topic, id: s}, nil
	case topic != "" && topic != h.Topic:
		return named{}, usagef("the recall handle %s is of topic %s, not of %s", s, h.Topic, topic)
	}
	return named{topic: h.Topic, id: h.ID, handle: &h}, nil
}

// state is what a message is at present.
type state string

// The states, as the column result says them of a message that cannot be cancelled.
const (
	stateWaiting     state = "waiting"
	stateDelivered   state = "delivered"
	stateUnscheduled state = "unscheduled"
	stateUnknown     state = "unknown"
)

// foundAt is a message at a broker.
type foundAt struct {
	broker client.Broker
	msg    message.Message
	state  state
	due    time.Time // zero if it is not known
}

// handle names it for a recall.
func (f *foundAt) handle() *message.RecallHandle {
	return &message.RecallHandle{Topic: f.msg.Topic, Broker: f.broker.Name, ID: idOf(&f.msg), DueMs: f.due.UnixMilli()}
}

// lookUp finds the messages that n names at the brokers of its topic.
func lookUp(ctx context.Context, cl *client.Client, n *named) (found []foundAt, err error) {
	brokers, err := brokersOf(ctx, cl, n.topic)
	if err != nil {
		return nil, err
	}
	for _, b := range brokers {
		ms, err := cl.QueryID(ctx, b.Addr, n.topic, n.id)
		if err != nil {
			return nil, err
		}
		for i := range ms {
			found = append(found, inState(b, &ms[i]))
		}
	}
	if n.handle != nil {
		found = slices.DeleteFunc(found, func(f foundAt) bool {
			return f.broker.Name != n.handle.Broker || f.due.UnixMilli() != n.handle.DueMs
		})
	}
	return found, nil
}

// brokersOf lists the brokers that have a topic.
func brokersOf(ctx context.Context, cl *client.Client, topic string) (list []client.Broker, err error) {
	route, err := cl.Route(ctx, topic)
	if err != nil {
		return nil, err
	}
	for _, q := range append(route.Write, route.Read...) {
		if !slices.ContainsFunc(list, func(b client.Broker) bool { return b.Name == q.Broker }) {
			list = append(list, client.Broker{Name: q.Broker, Addr: q.Addr})
		}
	}
	return list, nil
}

// inState tells a message that waits from one that has come by the properties in which
// a broker notes its doings.
func inState(b client.Broker, m *message.Message) foundAt {
	f := foundAt{broker: b, msg: *m, state: stateUnscheduled}
	if ms, err := strconv.ParseInt(message.Get(m.Properties, message.PropTimerOutMs), 10, 64); err == nil {
		f.due, f.state = time.UnixMilli(ms), stateWaiting
	}
	if message.Get(m.Properties, message.PropTimerDequeueMs) != "" || f.state == stateUnscheduled && message.Get(m.Properties, message.PropRealTopic) != "" {
		f.state = stateDelivered
	}
	return f
}

// notWaiting is what a verb says of a message that does not wait.
type notWaiting struct {
	broker, due any
	state       state
	detail      string
}

// whyNot says what became of a message of which none that was found waits.
func whyNot(found []foundAt) notWaiting {
	if len(found) == 0 {
		return notWaiting{state: stateUnknown, detail: "cancelled before, never stored, or not kept any more"}
	}
	f := &found[0]
	w := notWaiting{broker: f.broker.Name, state: f.state, detail: "visible since " + plainText(ms(f.msg.StoreMs))}
	if !f.due.IsZero() {
		w.due = f.due
	}
	return w
}
