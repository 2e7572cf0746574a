package broker

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/duelog/duelog/server/remoting"
)

// progress is what GET_CONSUME_STATS says of a queue: where it ends, how far the
// group has acknowledged it, and when the last acknowledged message became visible.
type progress struct {
	BrokerOffset   int64 `json:"brokerOffset"`
	ConsumerOffset int64 `json:"consumerOffset"`
	LastMs         int64 `json:"lastTimestamp"`
	PullOffset     int64 `json:"pullOffset"`
}

// handleConsumeStats serves GET_CONSUME_STATS 208: how far a group is in every
// queue of the topics that it consumes, or of the one that the request names. A
// queue in which the group has acknowledged nothing counts as not begun.
func handleConsumeStats(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	name := cmd.Get("consumerGroup")
	group, ok := b.groups.Lookup(name)
	if !ok {
		b.reply(c, cmd, remoting.RespSubscriptionGroupAbsent, fmt.Sprintf("subscription group [%.255s] does not exist", name))
		return
	}
	topics := b.topicsOfGroup(group.Name)
	if one := cmd.Get("topic"); one != "" {
		topics = []string{one}
	}
	var table queueTable
	for _, name := range topics {
		if topic, ok := b.topics.Lookup(name); ok {
			b.addConsumed(&table, group, topic)
		}
	}
	body := append([]byte(`{"consumeTps":0.0,"offsetTable":`), table.bytes()...)
	b.replyBody(c, cmd, remoting.RespSuccess, "", append(body, '}'))
}

func (b *Broker) addConsumed(table *queueTable, group *Group, topic *Topic) {
	for id := range topic.ReadQueues {
		offset, committed := b.offsets.Query(group.Name, topic.Name, id)
		v := progress{ConsumerOffset: offset, PullOffset: offset}
		q := topic.lookup(id)
		if q != nil {
			v.BrokerOffset = q.Max()
		}
		if q != nil && !committed {
			v.ConsumerOffset, v.PullOffset = q.Min(), q.Min()
		}
		if q != nil && committed {
			v.LastMs = lastVisibleMs(q, min(offset, q.Max()))
		}
		table.add(b.queueName(topic, id), v)
	}
}

// topicsOfGroup returns, in order, the topics that a group has offsets in or that
// its members subscribe to.
func (b *Broker) topicsOfGroup(group string) []string {
	names := b.clients.subscribedTopics(group)
	for key := range b.offsets.all() {
		if key.group == group {
			names = append(names, key.topic)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// groupsOfTopic returns, in order, the groups that have offsets in a topic or
// whose members subscribe to it.
func (b *Broker) groupsOfTopic(topic string) []string {
	names := b.clients.subscribingGroups(topic)
	for key := range b.offsets.all() {
		if key.topic == topic {
			names = append(names, key.group)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// handleTopicConsumers serves QUERY_TOPIC_CONSUME_BY_WHO 300: the groups of a topic.
func handleTopicConsumers(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	if topic, ok := b.topicOf(c, cmd); ok {
		b.replyJSON(c, cmd, struct {
			Groups []string `json:"groupList"`
		}{orEmpty(b.groupsOfTopic(topic.Name))})
	}
}

// handleConsumerTopics serves QUERY_TOPICS_BY_CONSUMER 343: the topics of a group.
func handleConsumerTopics(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	b.replyJSON(c, cmd, struct {
		Topics []string `json:"topicList"`
	}{orEmpty(b.topicsOfGroup(cmd.Get("group")))})
}

// orEmpty makes a list that is empty [] and not null in JSON.
func orEmpty(list []string) []string {
	if list == nil {
		return []string{}
	}
	return list
}

// handleAllOffsets serves GET_ALL_CONSUMER_OFFSET 43: what offsets.json holds.
func handleAllOffsets(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	b.replyJSON(c, cmd, b.offsets.json())
}

// connection is a client's connection in the answers of 203 and 204.
type connection struct {
	Addr     string `json:"clientAddr"`
	ClientID string `json:"clientId"`
	Language string `json:"language"`
	Version  int32  `json:"version"`
}

func byClientID(a, b connection) int {
	return cmp.Or(cmp.Compare(a.ClientID, b.ClientID), cmp.Compare(a.Addr, b.Addr))
}
