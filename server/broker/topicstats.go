package broker

import (
	"fmt"

	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// topicOffsets is what GET_TOPIC_STATS_INFO says of a queue.
type topicOffsets struct {
	LastUpdateMs int64 `json:"lastUpdateTimestamp"` // when its last message became visible; 0: never
	Max          int64 `json:"maxOffset"`
	Min          int64 `json:"minOffset"`
}

// handleTopicStats serves GET_TOPIC_STATS_INFO 202: the extent of every queue of
// a topic.
func handleTopicStats(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	topic, ok := b.topicOf(c, cmd)
	if !ok {
		return
	}
	var table queueTable
	for id := range max(topic.ReadQueues, topic.WriteQueues) {
		var o topicOffsets
		if q := topic.lookup(id); q != nil {
			o = topicOffsets{LastUpdateMs: lastVisibleMs(q, q.Max()), Max: q.Max(), Min: q.Min()}
		}
		table.add(b.queueName(topic, id), o)
	}
	body := append([]byte(`{"offsetTable":`), table.bytes()...)
	b.replyBody(c, cmd, remoting.RespSuccess, "", append(body, `,"topicPutTps":0.0}`...))
}

func (b *Broker) queueName(t *Topic, id int32) queueName {
	return queueName{Broker: b.opts.BrokerName, ID: id, Topic: t.Name}
}

// topicOf looks up the topic that cmd names. When there is none the client has
// been told.
func (b *Broker) topicOf(c *remoting.Conn, cmd *remoting.Command) (*Topic, bool) {
	name := cmd.Get("topic")
	topic, ok := b.topics.Lookup(name)
	if !ok {
		b.reply(c, cmd, remoting.RespTopicNotExist, fmt.Sprintf("topic[%.255s] not exist, apply first please!", name))
	}
	return topic, ok
}

// lastVisibleMs returns when the message before slot end became visible, 0 when
// there is none.
func lastVisibleMs(q *store.Queue, end int64) int64 {
	var last [1]store.Delivery
	if end <= q.Min() {
		return 0
	}
	if n, err := q.Read(end-1, last[:]); err != nil || n == 0 {
		return 0
	}
	return last[0].DeliverMs
}
