package client

import (
	"context"
	"fmt"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

// QueryID returns the messages of a topic with this UNIQ_KEY at a broker, newest first: at
// most 64, none if there is none. A duelog broker finds those that wait too, which have
// TIMER_OUT_MS and no TIMER_DEQUEUE_MS; not those that were recalled.
func (c *Client) QueryID(ctx context.Context, addr, topic, id string) ([]message.Message, error) {
	r, err := c.Do(ctx, addr, remoting.ReqQueryMessage, nil,
		field("topic", topic), field("key", id), number("maxNum", 64), number("beginTimestamp", 0),
		number("endTimestamp", int64(1)<<62), field("_UNIQUE_KEY_QUERY", "true"))
	if IsRefused(err, remoting.RespQueryNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var found []message.Message
	for rest := r.Body; len(rest) > 0; {
		var one []byte
		var m message.Message
		if one, rest, err = message.Split(rest); err == nil {
			err = message.Decode(one, &m)
		}
		if err != nil {
			return nil, fmt.Errorf("read the messages that %s found: %w", addr, err)
		}
		found = append(found, m)
	}
	return found, nil
}

// Recall takes the messages of a recall handle back at the broker that holds them. It
// returns nil when they never become visible, also if they were recalled before. A duelog
// broker refuses it with remoting.RespQueryNotFound if there is none, and with
// RespIllegalOperation if it came too late; Apache's takes any handle that fits.
func (c *Client) Recall(ctx context.Context, addr string, h *message.RecallHandle) error {
	_, err := c.Do(ctx, addr, remoting.ReqRecallMessage, nil,
		field("topic", h.Topic), field("recallHandle", string(message.AppendRecallHandle(nil, h))))
	return err
}
