package client

import (
	"context"
	"strconv"
	"strings"
	"time"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

// templateTopic is the one whose settings an unknown topic inherits; part of the
// protocol. newTopicQueues is how many queues a producer asks for then.
const (
	templateTopic  = "TBW102"
	newTopicQueues = 4
)

// Outgoing is a message to send.
type Outgoing struct {
	Topic string
	// Queue is its number, -1 lets the broker choose.
	Queue int32
	Body  []byte
	// Properties is a properties string of package message: tags, keys, the time
	// that is asked for, the producer's own.
	Properties string
	// Group is the producer's group; any will do.
	Group string
}

// Sent is what the broker says of a message that it has stored.
type Sent struct {
	ID       string // the one that clients show: UNIQ_KEY
	OffsetID string // where it is at the broker
	Broker   string // its name
	Queue    int32
	Offset   int64  // 0 while it waits
	Recall   string // handle by which it can be taken back, "" when there is none
}

// Send sends one message. A topic that does not exist is created by the broker if
// that is configured so.
func (c *Client) Send(ctx context.Context, m *Outgoing) (*Sent, error) {
	to, err := c.sendTo(ctx, m.Topic)
	if err != nil {
		return nil, err
	}
	r, err := c.Do(ctx, to.Addr, remoting.ReqSendMessageV2, m.Body,
		field("a", m.Group), field("b", m.Topic), field("c", templateTopic), number("d", newTopicQueues), number("e", m.Queue),
		number("f", 0), number("g", time.Now().UnixMilli()), number("h", 0), field("i", m.Properties),
		number("j", 0), field("k", "false"), number("l", 16), field("m", "false"))
	if err != nil {
		return nil, err
	}
	s := &Sent{ID: r.Get("transactionId"), OffsetID: r.Get("msgId"), Broker: to.Broker, Recall: r.Get("recallHandle")}
	if id := message.Get(m.Properties, message.PropUniqKey); id != "" {
		s.ID = strings.Clone(id)
	}
	if id, err := strconv.ParseInt(r.Get("queueId"), 10, 32); err == nil {
		s.Queue = int32(id)
	}
	s.Offset, _ = strconv.ParseInt(r.Get("queueOffset"), 10, 64)
	return s, nil
}

// sendTo returns a queue at the broker that a message for topic goes to. For an
// unknown topic that is a broker that creates it.
func (c *Client) sendTo(ctx context.Context, topic string) (Queue, error) {
	for _, name := range []string{topic, templateTopic} {
		route, err := c.Route(ctx, name)
		if IsRefused(err, remoting.RespTopicNotExist) {
			continue
		}
		if err != nil {
			return Queue{}, err
		}
		if len(route.Write) > 0 {
			return route.Write[0], nil
		}
		return Queue{}, &RefusedError{Code: remoting.RespNoPermission, Remark: "topic " + topic + " is not writable"}
	}
	return Queue{}, &RefusedError{Code: remoting.RespTopicNotExist, Remark: "topic " + topic + " does not exist, and is not created by itself"}
}
