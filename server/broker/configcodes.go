package broker

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"

	"github.com/duelog/duelog/server/remoting"
)

// handleUpdateTopic serves UPDATE_AND_CREATE_TOPIC 17: it creates a topic or
// replaces its configuration. The answer is sent when the topic is durable and
// routed. Fewer queues than before hide messages, they do not delete any.
func handleUpdateTopic(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	config, err := topicFromHeader(cmd)
	if err != nil {
		b.reply(c, cmd, remoting.RespInvalidParameter, err.Error())
		return
	}
	if err := checkTopicName(config.Name); err != nil {
		b.reply(c, cmd, remoting.RespInvalidParameter, err.Error())
		return
	}
	old, exists := b.topics.Lookup(config.Name)
	if exists && old.System {
		b.reply(c, cmd, remoting.RespInvalidParameter, fmt.Sprintf("The topic[%.255s] is conflict with system topic.", config.Name))
		return
	}
	if exists {
		config.Attributes = maps.Clone(old.Attributes)
	}
	if config.Attributes, err = alterAttributes(config.Attributes, cmd.Get("attributes")); err != nil {
		b.reply(c, cmd, remoting.RespInvalidParameter, err.Error())
		return
	}
	if err := b.topics.Update(config); err != nil {
		b.reply(c, cmd, remoting.RespSystemError, err.Error())
		return
	}
	b.log.Info("topic configured", "topic", config.Name, "read_queues", config.ReadQueues, "write_queues", config.WriteQueues, "perm", config.Perm, "client", c.RemoteAddr())
	b.reply(c, cmd, remoting.RespSuccess, "")
}

// handleDeleteTopic serves DELETE_TOPIC_IN_BROKER 215: configuration, queues,
// messages that still wait, and every group's offsets. It is carried out for a
// topic that does not exist too, so that a deletion which a crash cut short can
// be completed.
func handleDeleteTopic(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	name := strings.Clone(cmd.Get("topic"))
	if err := checkTopicName(name); err != nil {
		b.reply(c, cmd, remoting.RespInvalidParameter, err.Error())
		return
	}
	if topic, ok := b.topics.Lookup(name); ok && topic.System {
		b.reply(c, cmd, remoting.RespInvalidParameter, fmt.Sprintf("The topic[%.255s] is conflict with system topic.", name))
		return
	}
	if err := errors.Join(b.topics.Delete(name), b.store.DeleteTopic(name)); err != nil {
		b.reply(c, cmd, remoting.RespSystemError, err.Error())
		return
	}
	b.offsets.dropTopic(name)
	b.log.Info("topic deleted", "topic", name, "client", c.RemoteAddr())
	b.reply(c, cmd, remoting.RespSuccess, "")
}

// topicFromHeader reads the configuration out of the header, all but the
// attributes. It keeps nothing of the request's frame.
func topicFromHeader(cmd *remoting.Command) (*topicConfig, error) {
	config := newTopicConfig(strings.Clone(cmd.Get("topic")), 0, 0, 0)
	if t := cmd.Get("topicFilterType"); t == "MULTI_TAG" {
		config.FilterType = "MULTI_TAG"
	}
	var errs [5]error
	config.ReadQueues, errs[0] = cmd.Int32("readQueueNums")
	config.WriteQueues, errs[1] = cmd.Int32("writeQueueNums")
	config.Perm, errs[2] = cmd.Int32Or("perm", permRead|permWrite)
	config.SysFlag, errs[3] = cmd.Int32Or("topicSysFlag", 0)
	config.Order, errs[4] = cmd.BoolOr("order", false)
	if err := errors.Join(errs[:]...); err != nil {
		return nil, err
	}
	return config, config.check(config.Name)
}

// alterAttributes applies changes written as "+key=value,-key" to attributes.
func alterAttributes(attributes map[string]string, changes string) (map[string]string, error) {
	if attributes == nil {
		attributes = make(map[string]string)
	}
	for change := range strings.SplitSeq(strings.Clone(changes), ",") {
		key, value, hasValue := strings.Cut(strings.TrimSpace(change), "=")
		switch {
		case key == "":
		case key[0] == '+' && hasValue:
			attributes[key[1:]] = value
		case key[0] == '-' && !hasValue:
			delete(attributes, key[1:])
		default:
			return nil, errors.New("attribute change " + key + " is neither +key=value nor -key")
		}
	}
	return attributes, nil
}

// handleUpdateGroup serves UPDATE_AND_CREATE_SUBSCRIPTIONGROUP 200: it creates
// a consumer group or replaces its configuration. Fields that the body lacks
// get their defaults.
func handleUpdateGroup(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	group := defaultGroup("")
	if err := json.Unmarshal(cmd.Body, group); err != nil {
		b.reply(c, cmd, remoting.RespInvalidParameter, "subscription group body is not understood: "+err.Error())
		return
	}
	if err := group.check(group.Name); err != nil {
		b.reply(c, cmd, remoting.RespInvalidParameter, err.Error())
		return
	}
	if err := b.groups.Update(group); err != nil {
		b.reply(c, cmd, remoting.RespSystemError, err.Error())
		return
	}
	b.log.Info("consumer group configured", "group", group.Name, "client", c.RemoteAddr())
	b.reply(c, cmd, remoting.RespSuccess, "")
}
