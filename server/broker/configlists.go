package broker

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/duelog/duelog/server/remoting"
)

// handleAllTopics serves GET_ALL_TOPIC_CONFIG 21: every topic, the system's own
// included.
func handleAllTopics(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	table := make(map[string]*topicConfig)
	for _, name := range b.topics.Names() {
		if topic, ok := b.topics.Lookup(name); ok {
			table[name] = topic.shown()
		}
	}
	body := compact(struct {
		DataVersion dataVersion             `json:"dataVersion"`
		Mapping     dataVersion             `json:"mappingDataVersion"`
		Table       map[string]*topicConfig `json:"topicConfigTable"`
	}{DataVersion: b.topics.dataVersion(), Table: table})
	b.replyBody(c, cmd, remoting.RespSuccess, "", body, remoting.Field{Key: "totalTopicNum", Value: strconv.Itoa(len(table))})
}

// handleSystemTopics serves GET_SYSTEM_TOPIC_LIST_FROM_BROKER 305: the topics that
// the broker made for itself.
func handleSystemTopics(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	list := []string{}
	for _, name := range b.topics.Names() {
		if topic, ok := b.topics.Lookup(name); ok && topic.System {
			list = append(list, name)
		}
	}
	b.replyJSON(c, cmd, struct {
		Topics []string `json:"topicList"`
	}{list})
}

// handleTopicConfig serves GET_TOPIC_CONFIG 351.
func handleTopicConfig(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	if topic, ok := b.topicOf(c, cmd); ok {
		b.replyJSON(c, cmd, topic.shown())
	}
}

// shown is config for clients, which expect attributes to be there.
func (t *Topic) shown() *topicConfig {
	c := t.config()
	if c.Attributes == nil {
		c.Attributes = map[string]string{}
	}
	return c
}

// handleAllGroups serves GET_ALL_SUBSCRIPTIONGROUP_CONFIG 201: every consumer
// group, the system's own included.
func handleAllGroups(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	table := make(map[string]*Group)
	for _, name := range b.groups.Names() {
		if group, ok := b.groups.Lookup(name); ok {
			table[name] = group
		}
	}
	body := compact(struct {
		DataVersion dataVersion       `json:"dataVersion"`
		Forbidden   map[string]string `json:"forbiddenTable"`
		Table       map[string]*Group `json:"subscriptionGroupTable"`
	}{b.groups.dataVersion(), map[string]string{}, table})
	b.replyBody(c, cmd, remoting.RespSuccess, "", body, remoting.Field{Key: "totalGroupNum", Value: strconv.Itoa(len(table))})
}

// handleGroupConfig serves GET_SUBSCRIPTIONGROUP_CONFIG 352.
func handleGroupConfig(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	name := cmd.Get("group")
	group, ok := b.groups.Lookup(name)
	if !ok {
		b.reply(c, cmd, remoting.RespSubscriptionGroupAbsent, fmt.Sprintf("subscription group [%.255s] does not exist", name))
		return
	}
	b.replyJSON(c, cmd, group)
}

// handleDeleteGroup serves DELETE_SUBSCRIPTIONGROUP 207: the configuration and,
// with cleanOffset, how far the group was. It is no error when there is none. The
// members of a group that is still consumed bring it back with their next heartbeat.
func handleDeleteGroup(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	name := strings.Clone(cmd.Get("groupName"))
	clean, err := cmd.BoolOr("cleanOffset", false)
	if err != nil {
		b.reply(c, cmd, remoting.RespInvalidParameter, err.Error())
		return
	}
	if group, ok := b.groups.Lookup(name); ok && group.System {
		b.reply(c, cmd, remoting.RespInvalidParameter, fmt.Sprintf("the group [%.255s] is the system's own", name))
		return
	}
	if err := b.groups.Delete(name); err != nil {
		b.reply(c, cmd, remoting.RespSystemError, err.Error())
		return
	}
	if clean {
		b.offsets.dropGroup(name)
	}
	b.log.Info("consumer group deleted", "group", name, "offsets_too", clean, "client", c.RemoteAddr())
	b.reply(c, cmd, remoting.RespSuccess, "")
}

func (t *topics) dataVersion() dataVersion {
	t.write.Lock()
	defer t.write.Unlock()
	return t.version
}

func (g *groups) dataVersion() dataVersion {
	g.write.Lock()
	defer g.write.Unlock()
	return g.version
}

// Delete removes the group's configuration; it is no error when there is none.
func (g *groups) Delete(name string) error {
	g.write.Lock()
	defer g.write.Unlock()
	if group, ok := g.Lookup(name); !ok || group.System {
		return nil
	}
	table := g.userGroups()
	delete(table, name)
	version := g.version
	version.bump(g.nowMs())
	if err := writeJSON(g.path, groupsJSON{DataVersion: version, Table: table}); err != nil {
		return fmt.Errorf("delete consumer group %s: %w", name, err)
	}
	g.version = version
	g.mu.Lock()
	delete(g.byName, name)
	g.mu.Unlock()
	return nil
}

// dropGroup forgets how far a group was.
func (o *offsets) dropGroup(group string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key := range o.byKey {
		if key.group == group {
			delete(o.byKey, key)
			o.changes++
		}
	}
}
