package broker

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"

	"github.com/duelog/duelog/server/remoting"
)

// heartbeat is the body of HEART_BEAT, as far as the broker looks at it.
type heartbeat struct {
	ClientID  string              `json:"clientID"`
	Producers []heartbeatProducer `json:"producerDataSet"`
	Consumers []heartbeatConsumer `json:"consumerDataSet"`
}

type heartbeatProducer struct {
	Group string `json:"groupName"`
}

type heartbeatConsumer struct {
	Group            string                  `json:"groupName"`
	ConsumeType      ordinal                 `json:"consumeType"`
	MessageModel     ordinal                 `json:"messageModel"`
	ConsumeFromWhere ordinal                 `json:"consumeFromWhere"`
	Subscriptions    []heartbeatSubscription `json:"subscriptionDataSet"`
}

type heartbeatSubscription struct {
	Topic          string   `json:"topic"`
	Expression     string   `json:"subString"`
	ExpressionType string   `json:"expressionType"`
	Version        looseInt `json:"subVersion"`
}

// ordinal is an enum value: Java and Go clients send its name, the C++ client
// its number. The names of the three enums are disjoint, so one table does.
type ordinal int

// Enum values the broker decides by.
const modelBroadcasting = 0

var ordinals = map[string]ordinal{
	"CONSUME_ACTIVELY": 0, "CONSUME_PASSIVELY": 1, "CONSUME_POP": 2,
	"BROADCASTING": modelBroadcasting, "CLUSTERING": 1,
	"CONSUME_FROM_LAST_OFFSET": 0, "CONSUME_FROM_LAST_OFFSET_AND_FROM_MIN_WHEN_BOOT_FIRST": 1,
	"CONSUME_FROM_MIN_OFFSET": 2, "CONSUME_FROM_MAX_OFFSET": 3,
	"CONSUME_FROM_FIRST_OFFSET": 4, "CONSUME_FROM_TIMESTAMP": 5,
}

// UnmarshalJSON accepts a name, a number and a numeric string.
func (o *ordinal) UnmarshalJSON(data []byte) error {
	if v, ok := ordinals[strings.Trim(string(data), `"`)]; ok {
		*o = v
		return nil
	}
	var n looseInt
	if err := n.UnmarshalJSON(data); err != nil {
		return fmt.Errorf("enum value %.40s is unknown", data)
	}
	*o = ordinal(n)
	return nil
}

// looseInt is a 64-bit integer that may come as a number or as a string.
type looseInt int64

// UnmarshalJSON accepts a number, a numeric string and null.
func (l *looseInt) UnmarshalJSON(data []byte) error {
	text := strings.Trim(string(data), `"`)
	if text == "null" || text == "" {
		return nil
	}
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return fmt.Errorf("%.40s is not an integer", data)
	}
	*l = looseInt(n)
	return nil
}

// maxHeartbeatGroups is how many groups of each kind one heartbeat may name; no
// client has as many. What is beyond is passed over.
const maxHeartbeatGroups = 1000

// handleHeartbeat serves HEART_BEAT 34, by which a client says, every 30 s,
// which groups it belongs to and what they subscribe to. The client is a member
// before the answer leaves, so that it finds itself in the member list that it
// asks for next. A new consumer group gets its retry topic here, because
// clients look for its route every 30 s only.
func handleHeartbeat(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	var hb heartbeat
	if err := json.Unmarshal(cmd.Body, &hb); err != nil || hb.ClientID == "" {
		b.reply(c, cmd, remoting.RespSystemError, "heartbeat body is not understood")
		return
	}
	m := member{clientID: hb.ClientID, language: cmd.Language, version: cmd.Version, beatMs: b.store.NowMs()}
	for _, p := range hb.Producers[:min(len(hb.Producers), maxHeartbeatGroups)] {
		if checkGroupName(p.Group) == nil {
			b.clients.joinProducer(c, p.Group, m)
		}
	}
	for i := range hb.Consumers[:min(len(hb.Consumers), maxHeartbeatGroups)] {
		b.joinConsumer(c, &hb.Consumers[i], m)
	}
	b.reply(c, cmd, remoting.RespSuccess, "")
}

// joinConsumer registers one consumer group of a heartbeat. A group that may
// not exist is passed over; its pulls will be told why.
func (b *Broker) joinConsumer(c *remoting.Conn, hc *heartbeatConsumer, m member) {
	group, err := b.groups.Ensure(hc.Group)
	if err != nil {
		if ok, skipped := b.joinLines.allow(b.store.NowMs() / 1000); ok {
			b.log.Warn("consumer group refused", "group", fmt.Sprintf("%.*q", maxGroupName, hc.Group), "client", c.RemoteAddr(), "error", err, "not_logged", skipped)
		}
		return
	}
	if err := b.ensureRetryTopic(group); err != nil {
		b.log.Error("retry topic not created", "group", group.Name, "error", err)
	}
	p := profile{int(hc.ConsumeType), int(hc.MessageModel), int(hc.ConsumeFromWhere)}
	if b.clients.joinConsumer(c, group.Name, m, p, subscriptions(hc.Subscriptions)) {
		b.notify(group.Name)
	}
}

func (b *Broker) ensureRetryTopic(g *Group) error {
	if g.RetryQueues < 1 {
		return nil
	}
	_, err := b.topics.Ensure(g.RetryTopic(), g.RetryQueues, g.RetryQueues, permRead|permWrite)
	return err
}

func subscriptions(list []heartbeatSubscription) []*subscription {
	subs := make([]*subscription, len(list))
	for i, s := range list {
		f, err := parseFilter(s.Expression, s.ExpressionType)
		if err != nil {
			f = nil // the pull will say so
		}
		subs[i] = &subscription{topic: s.Topic, expression: s.Expression, version: int64(s.Version), filter: f}
	}
	return subs
}

// handleUnregister serves UNREGISTER_CLIENT 35: a client that stops leaves one
// group at a time.
func handleUnregister(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	group := cmd.Get("consumerGroup")
	if b.clients.leave(c, cmd.Get("producerGroup"), group) {
		b.notify(strings.Clone(group))
	}
	b.reply(c, cmd, remoting.RespSuccess, "")
}

// handleConsumerList serves GET_CONSUMER_LIST_BY_GROUP 38, the member list from
// which each consumer computes its share of the queues.
func handleConsumerList(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	ids := b.clients.ConsumerIDs(cmd.Get("consumerGroup"))
	if len(ids) == 0 {
		b.reply(c, cmd, remoting.RespSystemError, fmt.Sprintf("no consumer for this group, %.255s", cmd.Get("consumerGroup")))
		return
	}
	b.replyJSON(c, cmd, struct {
		IDs []string `json:"consumerIdList"`
	}{ids})
}

// handleCheckClientConfig serves CHECK_CLIENT_CONFIG 46, by which a starting
// consumer asks whether its filter expression will be understood.
func handleCheckClientConfig(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	var body struct {
		Subscription heartbeatSubscription `json:"subscriptionData"`
	}
	if err := json.Unmarshal(cmd.Body, &body); err != nil {
		b.reply(c, cmd, remoting.RespSystemError, "client config body is not understood")
		return
	}
	if _, err := parseFilter(body.Subscription.Expression, body.Subscription.ExpressionType); err != nil {
		b.reply(c, cmd, remoting.RespSystemError, err.Error())
		return
	}
	b.reply(c, cmd, remoting.RespSuccess, "")
}
