package broker

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

// errNoGroup: the consumer group does not exist and may not be created.
var errNoGroup = errors.New("consumer group does not exist")

// Defaults of a consumer group, those of RocketMQ.
const (
	defaultRetryQueues   = 1
	defaultRetryMaxTimes = 16
)

// Group is the configuration of one consumer group, in the layout of the
// protocol's SubscriptionGroupConfig. It never changes: an update publishes
// another Group.
type Group struct {
	Attributes      map[string]string `json:"attributes"`
	BrokerID        int64             `json:"brokerId"`
	BroadcastEnable bool              `json:"consumeBroadcastEnable"`
	ConsumeEnable   bool              `json:"consumeEnable"` // false: pulls are refused
	FromMinEnable   bool              `json:"consumeFromMinEnable"`
	Orderly         bool              `json:"consumeMessageOrderly"`
	TimeoutMinutes  int32             `json:"consumeTimeoutMinute"`
	Name            string            `json:"groupName"`
	SysFlag         int32             `json:"groupSysFlag"`
	NotifyEnable    bool              `json:"notifyConsumerIdsChangedEnable"` // false: members are not told of changes
	RetryMaxTimes   int32             `json:"retryMaxTimes"`                  // deliveries before the dead-letter topic
	RetryQueues     int32             `json:"retryQueueNums"`                 // queues of the retry topic; <= 0: no retries
	WhichBrokerSlow int64             `json:"whichBrokerWhenConsumeSlowly"`
	System          bool              `json:"-"` // made by the broker, not persisted
	retryTopic      string
}

// defaultGroup is what a group is unless it is told otherwise.
func defaultGroup(name string) *Group {
	return &Group{
		Name: name, ConsumeEnable: true, FromMinEnable: true, BroadcastEnable: true, NotifyEnable: true,
		TimeoutMinutes: 15, RetryQueues: defaultRetryQueues, RetryMaxTimes: defaultRetryMaxTimes, WhichBrokerSlow: 1,
		Attributes: map[string]string{}, retryTopic: retryPrefix + name,
	}
}

// RetryTopic is the topic that carries the group's redeliveries.
func (g *Group) RetryTopic() string { return g.retryTopic }

// check tells why g cannot be the group called name.
func (g *Group) check(name string) error {
	if err := checkGroupName(name); err != nil {
		return err
	}
	if g.Name != name {
		return fmt.Errorf("consumer group %s is named %q inside", name, g.Name)
	}
	if g.RetryQueues > MaxQueues {
		return fmt.Errorf("consumer group %s: %d retry queues, at most %d are allowed", name, g.RetryQueues, MaxQueues)
	}
	return nil
}

// groups is the table of consumer groups. A group is durable in groups.json
// before anybody can look it up.
type groups struct {
	path       string
	autoCreate bool
	nowMs      func() int64
	saved      map[string]bool // what the file held at the start; never changes

	write   sync.Mutex  // held by the one change in progress, across its file write
	version dataVersion // guarded by write

	mu     sync.RWMutex
	byName map[string]*Group // guarded by mu; a value never changes
}

type groupsJSON struct {
	DataVersion dataVersion       `json:"dataVersion"`
	Table       map[string]*Group `json:"subscriptionGroupTable"`
}

func loadGroups(b *Broker, configDir string) (*groups, error) {
	g := &groups{
		path:       filepath.Join(configDir, groupsFile),
		autoCreate: b.opts.AutoCreateGroup,
		nowMs:      b.store.NowMs,
		saved:      make(map[string]bool),
		byName:     make(map[string]*Group),
	}
	saved, err := readJSON[groupsJSON](g.path, b.log)
	if err != nil {
		return nil, err
	}
	g.version = saved.DataVersion
	for name, group := range saved.Table {
		if group == nil || group.check(name) != nil {
			b.log.Warn("consumer group in config file is not valid, ignored", "group", name, "path", g.path)
			continue
		}
		group.retryTopic = retryPrefix + name
		g.byName[name] = group
		g.saved[name] = true
	}
	for _, name := range systemGroups {
		group := defaultGroup(name)
		group.System = true
		g.byName[name] = group
	}
	return g, nil
}

// Lookup returns the group called name. It keeps no reference to name.
func (g *groups) Lookup(name string) (*Group, bool) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	group, ok := g.byName[name]
	return group, ok
}

// Ensure returns the group called name and creates it with defaults when it
// does not exist. Errors: one that wraps errName, errNoGroup when creation is
// off, or that of the config file.
func (g *groups) Ensure(name string) (*Group, error) {
	if group, ok := g.Lookup(name); ok {
		return group, nil
	}
	if err := checkGroupName(name); err != nil {
		return nil, err
	}
	if !g.autoCreate && !strings.HasPrefix(name, systemGroupPrefix) {
		return nil, errNoGroup
	}
	g.write.Lock()
	defer g.write.Unlock()
	if group, ok := g.Lookup(name); ok { // another request was faster
		return group, nil
	}
	group := defaultGroup(strings.Clone(name))
	return group, g.put(group)
}

// Names returns the names of all groups in order.
func (g *groups) Names() []string {
	g.mu.RLock()
	defer g.mu.RUnlock()
	return slices.Sorted(maps.Keys(g.byName))
}

// Update creates the group or replaces its configuration.
func (g *groups) Update(group *Group) error {
	g.write.Lock()
	defer g.write.Unlock()
	group.retryTopic = retryPrefix + group.Name
	return g.put(group)
}

// put writes groups.json with group in it and then publishes group. The
// caller holds g.write.
func (g *groups) put(group *Group) error {
	if err := group.check(group.Name); err != nil {
		return err
	}
	table := g.userGroups()
	table[group.Name] = group
	version := g.version
	version.bump(g.nowMs())
	if err := writeJSON(g.path, groupsJSON{DataVersion: version, Table: table}); err != nil {
		return fmt.Errorf("save consumer group %s: %w", group.Name, err)
	}
	g.version = version
	g.mu.Lock()
	g.byName[group.Name] = group
	g.mu.Unlock()
	return nil
}

// userGroups returns the groups that belong in groups.json.
func (g *groups) userGroups() map[string]*Group {
	g.mu.RLock()
	defer g.mu.RUnlock()
	table := make(map[string]*Group, len(g.byName)+1)
	for name, group := range g.byName {
		if !group.System {
			table[name] = group
		}
	}
	return table
}
