package client

import (
	"context"

	"github.com/duelog/duelog/server/remoting"
)

func (c *Client) offset(ctx context.Context, code int32, q Queue, ext ...remoting.Field) (int64, error) {
	r, err := c.Do(ctx, q.Addr, code, nil, append(ext, field("topic", q.Topic), number("queueId", q.ID))...)
	if err != nil {
		return 0, err
	}
	return r.Int64("offset")
}

// MaxOffset returns the offset behind the last message of a queue.
func (c *Client) MaxOffset(ctx context.Context, q Queue) (int64, error) {
	return c.offset(ctx, remoting.ReqGetMaxOffset, q)
}

// MinOffset returns the offset of the first message that a queue still has.
func (c *Client) MinOffset(ctx context.Context, q Queue) (int64, error) {
	return c.offset(ctx, remoting.ReqGetMinOffset, q)
}

// OffsetAt returns the offset of the first message that became visible at ms or
// later.
func (c *Client) OffsetAt(ctx context.Context, q Queue, ms int64) (int64, error) {
	return c.offset(ctx, remoting.ReqSearchOffsetByTimestamp, q, number("timestamp", ms))
}

// Committed returns how far a group has acknowledged a queue; ok is false when it
// never has. A group that is new to a queue which still has its beginning at hand
// starts there: the answer is then 0, true.
func (c *Client) Committed(ctx context.Context, group string, q Queue) (offset int64, ok bool, err error) {
	offset, err = c.offset(ctx, remoting.ReqQueryConsumerOffset, q, field("consumerGroup", group))
	if IsRefused(err, remoting.RespQueryNotFound) {
		return 0, false, nil
	}
	return offset, err == nil, err
}

// Commit notes that a group has acknowledged everything before offset.
func (c *Client) Commit(ctx context.Context, group string, q Queue, offset int64) error {
	_, err := c.Do(ctx, q.Addr, remoting.ReqUpdateConsumerOffset, nil,
		field("consumerGroup", group), field("topic", q.Topic), number("queueId", q.ID), number("commitOffset", offset))
	return err
}
