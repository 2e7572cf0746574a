package client

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"

	"github.com/duelog/duelog/server/remoting"
)

// QueueStats is the extent of a queue.
type QueueStats struct {
	Queue  Queue
	Min    int64 `json:"minOffset"`
	Max    int64 `json:"maxOffset"`
	LastMs int64 `json:"lastUpdateTimestamp"` // of the last message; 0: none
}

// TopicStats returns the extent of every queue of a topic at a broker.
func (c *Client) TopicStats(ctx context.Context, addr, topic string) ([]QueueStats, error) {
	r, err := c.Do(ctx, addr, remoting.ReqGetTopicStatsInfo, nil, field("topic", topic))
	if err != nil {
		return nil, err
	}
	var list []QueueStats
	err = eachPair(r.Body, "offsetTable", func(key, value json.RawMessage) error {
		var s QueueStats
		q, err := decodePair(key, value, &s)
		q.Addr = addr
		s.Queue = q
		list = append(list, s)
		return err
	})
	slices.SortFunc(list, func(a, b QueueStats) int { return compareQueues(a.Queue, b.Queue) })
	return list, err
}

// QueueProgress is how far a group is in a queue.
type QueueProgress struct {
	Queue     Queue
	Max       int64 `json:"brokerOffset"`
	Committed int64 `json:"consumerOffset"`
	LastMs    int64 `json:"lastTimestamp"` // of the last acknowledged message; 0: none
}

// Lag returns how many messages are left.
func (p *QueueProgress) Lag() int64 { return max(p.Max-p.Committed, 0) }

// ConsumeStats returns how far a group is in every queue that it consumes at a
// broker.
func (c *Client) ConsumeStats(ctx context.Context, addr, group string) ([]QueueProgress, error) {
	r, err := c.Do(ctx, addr, remoting.ReqGetConsumeStats, nil, field("consumerGroup", group))
	if err != nil {
		return nil, err
	}
	var list []QueueProgress
	err = eachPair(r.Body, "offsetTable", func(key, value json.RawMessage) error {
		var p QueueProgress
		q, err := decodePair(key, value, &p)
		q.Addr = addr
		p.Queue = q
		list = append(list, p)
		return err
	})
	slices.SortFunc(list, func(a, b QueueProgress) int { return compareQueues(a.Queue, b.Queue) })
	return list, err
}

func decodePair(key, value json.RawMessage, v any) (Queue, error) {
	var k struct {
		Broker string `json:"brokerName"`
		ID     int32  `json:"queueId"`
		Topic  string `json:"topic"`
	}
	if err := json.Unmarshal(key, &k); err != nil {
		return Queue{}, err
	}
	return Queue{Topic: k.Topic, Broker: k.Broker, ID: k.ID}, json.Unmarshal(value, v)
}

func compareQueues(a, b Queue) int {
	return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Broker, b.Broker), cmp.Compare(a.ID, b.ID))
}
