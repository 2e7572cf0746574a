package client

import (
	"context"
	"fmt"
	"time"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

// Bits of a pull's sysFlag; part of the protocol.
const (
	pullMayWait      = 1 << 1 // the answer may wait for a message
	pullSubscription = 1 << 2 // the subscription stands in the request
)

// pullMessages is the most that brokers hand out at once.
const pullMessages = 32

// Pulled is what a pull found.
type Pulled struct {
	Messages []message.Message // their own copies
	Next     int64             // where to go on
	Min, Max int64             // the extent of the queue
}

// PullOptions of Pull.
type PullOptions struct {
	// Group is the consumer group that the broker counts it for.
	Group string
	// Tags is a tag expression, "a || b"; "" is all.
	Tags string
	// Wait is how long the broker may hold the request when there is nothing.
	Wait time.Duration
	// Max bounds the number of messages; 0 is as many as the broker gives.
	Max int
}

// Pull reads messages from a queue, from offset on. It moves no group's offset.
// An offset that is outside of the queue is put right: Next is then where the
// queue begins or ends.
func (c *Client) Pull(ctx context.Context, q Queue, offset int64, o PullOptions) (*Pulled, error) {
	if o.Tags == "" {
		o.Tags = "*"
	}
	if o.Max <= 0 || o.Max > pullMessages {
		o.Max = pullMessages
	}
	flags := pullSubscription
	if o.Wait > 0 {
		flags |= pullMayWait
	}
	cmd := remoting.NewRequest(remoting.ReqPullMessage,
		field("consumerGroup", o.Group), field("topic", q.Topic), number("queueId", q.ID), number("queueOffset", offset),
		number("maxMsgNums", o.Max), number("sysFlag", flags), number("commitOffset", 0),
		number("suspendTimeoutMillis", o.Wait.Milliseconds()), field("subscription", o.Tags),
		number("subVersion", 0), field("expressionType", "TAG"))
	r, err := c.ask(ctx, q.Addr, cmd, c.timeout+o.Wait)
	if err != nil {
		return nil, err
	}
	switch r.Code {
	case remoting.RespSuccess, remoting.RespPullNotFound, remoting.RespPullRetryImmediately, remoting.RespPullOffsetMoved:
	default:
		return nil, refusedBy(q.Addr, r)
	}
	return pulled(r)
}

func pulled(r *remoting.Command) (p *Pulled, err error) {
	p = &Pulled{}
	if p.Next, err = r.Int64("nextBeginOffset"); err != nil {
		return nil, err
	}
	p.Min, _ = r.Int64Or("minOffset", 0)
	p.Max, _ = r.Int64Or("maxOffset", 0)
	if r.Code == remoting.RespSuccess {
		p.Messages, err = Messages(r.Body)
	}
	return p, err
}

// Messages decodes messages that stand back to back. They are views of b.
func Messages(b []byte) ([]message.Message, error) {
	var list []message.Message
	for len(b) > 0 {
		one, rest, err := message.Split(b)
		if err != nil {
			return list, fmt.Errorf("read pulled messages: %w", err)
		}
		var m message.Message
		if err := message.Decode(one, &m); err != nil {
			return list, fmt.Errorf("read pulled messages: %w", err)
		}
		list, b = append(list, m), rest
	}
	return list, nil
}
