package broker

import (
	"fmt"
	"slices"

	"github.com/duelog/duelog/server/remoting"
)

// consumerConnections is the answer to GET_CONSUMER_CONNECTION_LIST.
type consumerConnections struct {
	Connections   []connection              `json:"connectionSet"`
	FromWhere     string                    `json:"consumeFromWhere"`
	Type          string                    `json:"consumeType"`
	Model         string                    `json:"messageModel"`
	Subscriptions map[string]subscribedJSON `json:"subscriptionTable"`
}

type subscribedJSON struct {
	ClassFilter    bool     `json:"classFilterMode"`
	Codes          []int32  `json:"codeSet"`
	ExpressionType string   `json:"expressionType"`
	Expression     string   `json:"subString"`
	Version        int64    `json:"subVersion"`
	Tags           []string `json:"tagsSet"`
	Topic          string   `json:"topic"`
}

// The protocol's names of what a heartbeat says, by number.
var (
	consumeTypes = [...]string{"CONSUME_ACTIVELY", "CONSUME_PASSIVELY", "CONSUME_POP"}
	models       = [...]string{"BROADCASTING", "CLUSTERING"}
	fromWheres   = [...]string{
		"CONSUME_FROM_LAST_OFFSET", "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST",
		"CONSUME_FROM_MIN_OFFSET", "CONSUME_FROM_MAX_OFFSET", "CONSUME_FROM_FIRST_OFFSET", "CONSUME_FROM_TIMESTAMP",
	}
)

// nameOf returns the i-th name, and the first for a number that has none.
func nameOf(names []string, i int) string {
	if i < 0 || i >= len(names) {
		i = 0
	}
	return names[i]
}

// handleConsumerConnections serves GET_CONSUMER_CONNECTION_LIST 203: the members
// of a consumer group and what they subscribe to; 206 when it has none.
func handleConsumerConnections(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	group := cmd.Get("consumerGroup")
	list := b.clients.consumerConnections(group)
	if list == nil {
		b.reply(c, cmd, remoting.RespConsumerNotOnline, fmt.Sprintf("the consumer group[%.255s] not online", group))
		return
	}
	b.replyJSON(c, cmd, list)
}

// handleProducerConnections serves GET_PRODUCER_CONNECTION_LIST 204.
func handleProducerConnections(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	group := cmd.Get("producerGroup")
	list := b.clients.producerConnections(group)
	if len(list) == 0 {
		b.reply(c, cmd, remoting.RespSystemError, fmt.Sprintf("the producer group[%.255s] not exist", group))
		return
	}
	b.replyJSON(c, cmd, struct {
		Connections []connection `json:"connectionSet"`
	}{list})
}

func connections(members map[*remoting.Conn]*member) []connection {
	list := make([]connection, 0, len(members))
	for c, m := range members {
		list = append(list, connection{
			Addr: c.RemoteAddr().String(), ClientID: m.clientID, Language: remoting.LanguageName(m.language), Version: m.version,
		})
	}
	slices.SortFunc(list, byClientID)
	return list
}

func (cs *clients) producerConnections(group string) []connection {
	cs.mu.RLock()
	defer cs.mu.RUnlock()
	return connections(cs.producers[group])
}

// consumerConnections returns nil when the group has no member.
func (cs *clients) consumerConnections(group string) *consumerConnections {
	cs.mu.RLock()
	defer cs.mu.RUnlock()
	g := cs.consumers[group]
	if g == nil {
		return nil
	}
	list := &consumerConnections{
		Connections:   connections(g.members),
		FromWhere:     nameOf(fromWheres[:], g.profile.consumeFromWhere),
		Type:          nameOf(consumeTypes[:], g.profile.consumeType),
		Model:         nameOf(models[:], g.profile.messageModel),
		Subscriptions: make(map[string]subscribedJSON, len(g.subs)),
	}
	for topic, s := range g.subs {
		list.Subscriptions[topic] = subscribedJSON{
			Codes: []int32{}, ExpressionType: "TAG", Expression: s.expression, Version: s.version, Tags: []string{}, Topic: topic,
		}
	}
	return list
}

// subscribedTopics returns, in no order, what the members of a group want.
func (cs *clients) subscribedTopics(group string) []string {
	cs.mu.RLock()
	defer cs.mu.RUnlock()
	var names []string
	if g := cs.consumers[group]; g != nil {
		for topic := range g.subs {
			names = append(names, topic)
		}
	}
	return names
}

// subscribingGroups returns, in no order, the groups that want a topic.
func (cs *clients) subscribingGroups(topic string) []string {
	cs.mu.RLock()
	defer cs.mu.RUnlock()
	var names []string
	for name, g := range cs.consumers {
		if g.subs[topic] != nil {
			names = append(names, name)
		}
	}
	return names
}
