package broker

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/duelog/duelog/store"
)

// errNoTopic: the topic does not exist and may not be created.
var errNoTopic = errors.New("topic does not exist")

// topics is the table of topics. A topic is durable in topics.json before
// anybody can look it up.
type topics struct {
	path       string
	autoCreate bool
	store      *store.Store
	metrics    *metrics

	write   sync.Mutex  // held by the one change in progress, across its file write
	version dataVersion // guarded by write

	mu     sync.RWMutex
	byName map[string]*Topic // guarded by mu; a value never changes
}

// topicConfig is a topic in topics.json and in the protocol's JSON bodies.
type topicConfig struct {
	Attributes  map[string]string `json:"attributes"`
	Order       bool              `json:"order"`
	Perm        int32             `json:"perm"`
	ReadQueues  int32             `json:"readQueueNums"`
	FilterType  string            `json:"topicFilterType"`
	Name        string            `json:"topicName"`
	SysFlag     int32             `json:"topicSysFlag"`
	WriteQueues int32             `json:"writeQueueNums"`
}

type topicsJSON struct {
	DataVersion dataVersion             `json:"dataVersion"`
	Table       map[string]*topicConfig `json:"topicConfigTable"`
}

func loadTopics(b *Broker, configDir string) (*topics, error) {
	t := &topics{
		path:       filepath.Join(configDir, topicsFile),
		autoCreate: b.opts.AutoCreateTopic,
		store:      b.store,
		metrics:    b.metrics,
		byName:     make(map[string]*Topic),
	}
	saved, err := readJSON[topicsJSON](t.path, b.log)
	if err != nil {
		return nil, err
	}
	t.version = saved.DataVersion
	for name, c := range saved.Table {
		if c == nil || c.check(name) != nil {
			b.log.Warn("topic in config file is not valid, ignored", "topic", name, "path", t.path)
			continue
		}
		t.byName[name] = t.publish(c, false)
	}
	for _, c := range systemTopics(&b.opts) {
		t.byName[c.Name] = t.publish(c, true)
	}
	return t, nil
}

func newTopicConfig(name string, readQ, writeQ, perm int32) *topicConfig {
	return &topicConfig{Name: name, ReadQueues: readQ, WriteQueues: writeQ, Perm: perm, FilterType: "SINGLE_TAG"}
}

// check tells why c cannot be the topic called name.
func (c *topicConfig) check(name string) error {
	if err := checkTopicName(name); err != nil {
		return err
	}
	if c.Name != name {
		return fmt.Errorf("topic %s is named %q inside", name, c.Name)
	}
	if c.ReadQueues < 1 || c.ReadQueues > MaxQueues || c.WriteQueues < 1 || c.WriteQueues > MaxQueues {
		return fmt.Errorf("topic %s: %d read and %d write queues, allowed are 1..%d", name, c.ReadQueues, c.WriteQueues, MaxQueues)
	}
	if c.Perm&^permAll != 0 {
		return fmt.Errorf("topic %s: permission %d has unknown bits", name, c.Perm)
	}
	return nil
}

// publish makes the immutable Topic of c.
func (t *topics) publish(c *topicConfig, system bool) *Topic {
	return &Topic{
		Name: c.Name, ReadQueues: c.ReadQueues, WriteQueues: c.WriteQueues, Perm: c.Perm, SysFlag: c.SysFlag,
		Order: c.Order, FilterType: c.FilterType, Attributes: c.Attributes, System: system,
		store:  t.store,
		queues: make([]atomic.Pointer[store.Queue], max(c.ReadQueues, c.WriteQueues)),
		in:     t.metrics.in(c.Name),
	}
}

func (t *Topic) config() *topicConfig {
	c := newTopicConfig(t.Name, t.ReadQueues, t.WriteQueues, t.Perm)
	c.SysFlag, c.Order, c.FilterType = t.SysFlag, t.Order, t.FilterType
	c.Attributes = t.Attributes
	return c
}

// Lookup returns the topic called name. It keeps no reference to name.
func (t *topics) Lookup(name string) (*Topic, bool) {
	t.mu.RLock()
	defer t.mu.RUnlock()
	topic, ok := t.byName[name]
	return topic, ok
}

// Names returns the names of all topics in order.
func (t *topics) Names() []string {
	t.mu.RLock()
	defer t.mu.RUnlock()
	return slices.Sorted(maps.Keys(t.byName))
}

// AutoCreate returns the topic called name, creating it in the image of the
// template defaultTopic with at most queues queues. Errors: one that wraps
// errName, errNoTopic when the template does not exist or may not be inherited
// from, or that of the config file.
func (t *topics) AutoCreate(name, defaultTopic string, queues int32) (*Topic, error) {
	if topic, ok := t.Lookup(name); ok {
		return topic, nil
	}
	if err := checkTopicName(name); err != nil {
		return nil, err
	}
	template, ok := t.Lookup(defaultTopic)
	if !ok || template.Perm&permInherit == 0 || !t.autoCreate {
		return nil, errNoTopic
	}
	queues = max(1, min(queues, template.WriteQueues))
	return t.ensure(newTopicConfig(strings.Clone(name), queues, queues, template.Perm&^permInherit))
}

// Ensure returns the topic called name, creating it as given when it does not
// exist. It is how the broker makes its own topics (retry, dead letter).
func (t *topics) Ensure(name string, readQ, writeQ, perm int32) (*Topic, error) {
	if topic, ok := t.Lookup(name); ok {
		return topic, nil
	}
	return t.ensure(newTopicConfig(strings.Clone(name), readQ, writeQ, perm))
}

func (t *topics) ensure(c *topicConfig) (*Topic, error) {
	t.write.Lock()
	defer t.write.Unlock()
	if topic, ok := t.Lookup(c.Name); ok { // another request was faster
		return topic, nil
	}
	return t.put(c)
}

// Update creates the topic of c or replaces its configuration.
func (t *topics) Update(c *topicConfig) error {
	t.write.Lock()
	defer t.write.Unlock()
	_, err := t.put(c)
	return err
}

// put writes topics.json with c in it and then publishes c. The caller
// holds t.write.
func (t *topics) put(c *topicConfig) (*Topic, error) {
	if err := c.check(c.Name); err != nil {
		return nil, err
	}
	table := t.userConfigs()
	table[c.Name] = c
	if err := t.save(table); err != nil {
		return nil, fmt.Errorf("save topic %s: %w", c.Name, err)
	}
	topic := t.publish(c, false)
	t.mu.Lock()
	t.byName[c.Name] = topic
	t.mu.Unlock()
	return topic, nil
}

// Delete removes the topic's configuration; it is no error when there is none.
// Its queues are the store's.
func (t *topics) Delete(name string) error {
	t.write.Lock()
	defer t.write.Unlock()
	if topic, ok := t.Lookup(name); !ok || topic.System {
		return nil
	}
	table := t.userConfigs()
	delete(table, name)
	if err := t.save(table); err != nil {
		return fmt.Errorf("delete topic %s: %w", name, err)
	}
	t.mu.Lock()
	delete(t.byName, name)
	t.mu.Unlock()
	return nil
}

// save writes topics.json. The caller holds t.write.
func (t *topics) save(table map[string]*topicConfig) error {
	version := t.version
	version.bump(t.store.NowMs())
	if err := writeJSON(t.path, topicsJSON{DataVersion: version, Table: table}); err != nil {
		return err
	}
	t.version = version
	return nil
}

// userConfigs returns the configurations that belong in topics.json.
func (t *topics) userConfigs() map[string]*topicConfig {
	t.mu.RLock()
	defer t.mu.RUnlock()
	table := make(map[string]*topicConfig, len(t.byName)+1)
	for name, topic := range t.byName {
		if !topic.System {
			table[name] = topic.config()
		}
	}
	return table
}
