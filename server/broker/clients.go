package broker

import (
	"slices"
	"sync"

	"github.com/duelog/duelog/server/remoting"
)

// clients knows which connection is a member of which producer and consumer
// group. Membership begins with a heartbeat and ends by unregistering, by
// disconnecting or by silence.
type clients struct {
	mu        sync.RWMutex
	producers map[string]map[*remoting.Conn]*member // by group; guarded by mu
	consumers map[string]*consumers                 // by group; guarded by mu
	joined    map[*remoting.Conn]*joined            // the reverse; guarded by mu
}

// member is one connection's membership in one group.
type member struct {
	clientID string
	language uint8
	version  int32
	beatMs   int64 // last heartbeat
}

// consumers is what a consumer group is at the moment.
type consumers struct {
	members map[*remoting.Conn]*member
	subs    map[string]*subscription // by topic
	profile profile
}

// profile is how a group says that it consumes, for tools.
type profile struct {
	consumeType, messageModel, consumeFromWhere int
}

// subscription is a consumer group's interest in one topic.
type subscription struct {
	topic      string
	expression string
	version    int64   // the client's; a newer one replaces an older one
	filter     *filter // nil when the expression type is not served
}

// joined lists the groups a connection is a member of.
type joined struct {
	producers, consumers map[string]struct{}
}

func newClients() *clients {
	return &clients{
		producers: make(map[string]map[*remoting.Conn]*member),
		consumers: make(map[string]*consumers),
		joined:    make(map[*remoting.Conn]*joined),
	}
}

// joinProducer makes c a member of a producer group or renews it.
func (cs *clients) joinProducer(c *remoting.Conn, group string, m member) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	conns := cs.producers[group]
	if conns == nil {
		conns = make(map[*remoting.Conn]*member)
		cs.producers[group] = conns
	}
	conns[c] = &m
	cs.joinedBy(c).producers[group] = struct{}{}
}

// joinConsumer makes c a member of a consumer group or renews it, and takes
// over the subscriptions. It tells whether members need to hear of a change.
func (cs *clients) joinConsumer(c *remoting.Conn, group string, m member, p profile, subs []*subscription) (changed bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	g := cs.consumers[group]
	if g == nil {
		g = &consumers{members: make(map[*remoting.Conn]*member), subs: make(map[string]*subscription)}
		cs.consumers[group] = g
	}
	old := g.members[c]
	changed = old == nil || old.clientID != m.clientID
	g.members[c] = &m
	g.profile = p
	cs.joinedBy(c).consumers[group] = struct{}{}
	return g.subscribe(subs) || changed
}

// subscribe makes subs the group's subscriptions: new topics are added, newer
// versions replace older ones, topics no longer named are dropped.
func (g *consumers) subscribe(subs []*subscription) (changed bool) {
	for _, s := range subs {
		old := g.subs[s.topic]
		if old == nil || s.version > old.version {
			g.subs[s.topic] = s
			changed = changed || old == nil || old.expression != s.expression
		}
	}
	for topic := range g.subs {
		if !slices.ContainsFunc(subs, func(s *subscription) bool { return s.topic == topic }) {
			delete(g.subs, topic)
			changed = true
		}
	}
	return changed
}

// joinedBy returns the groups of c. The caller holds mu.
func (cs *clients) joinedBy(c *remoting.Conn) *joined {
	j := cs.joined[c]
	if j == nil {
		j = &joined{producers: make(map[string]struct{}), consumers: make(map[string]struct{})}
		cs.joined[c] = j
	}
	return j
}

// leave ends c's membership in the given groups; "" stands for none. It
// returns whether the consumer group has members left who need to hear of it.
func (cs *clients) leave(c *remoting.Conn, producerGroup, consumerGroup string) (changed bool) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	cs.leaveProducer(c, producerGroup)
	return cs.leaveConsumer(c, consumerGroup)
}

func (cs *clients) leaveProducer(c *remoting.Conn, group string) {
	conns := cs.producers[group]
	delete(conns, c)
	if len(conns) == 0 {
		delete(cs.producers, group)
	}
	if j := cs.joined[c]; j != nil {
		delete(j.producers, group)
		cs.dropEmpty(c, j)
	}
}

func (cs *clients) leaveConsumer(c *remoting.Conn, group string) (changed bool) {
	if g := cs.consumers[group]; g != nil && g.members[c] != nil {
		delete(g.members, c)
		if changed = len(g.members) > 0; !changed {
			delete(cs.consumers, group)
		}
	}
	if j := cs.joined[c]; j != nil {
		delete(j.consumers, group)
		cs.dropEmpty(c, j)
	}
	return changed
}

func (cs *clients) dropEmpty(c *remoting.Conn, j *joined) {
	if len(j.producers) == 0 && len(j.consumers) == 0 {
		delete(cs.joined, c)
	}
}

// dropConn ends all memberships of c and returns the consumer groups whose
// remaining members need to hear of it.
func (cs *clients) dropConn(c *remoting.Conn) (changed []string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	j := cs.joined[c]
	if j == nil {
		return nil
	}
	for group := range j.producers {
		cs.leaveProducer(c, group)
	}
	for group := range j.consumers {
		if cs.leaveConsumer(c, group) {
			changed = append(changed, group)
		}
	}
	return changed
}

// expire ends the memberships whose last heartbeat is before beforeMs and
// returns the consumer groups whose remaining members need to hear of it.
func (cs *clients) expire(beforeMs int64) (changed []string) {
	cs.mu.Lock()
	defer cs.mu.Unlock()
	for group, conns := range cs.producers {
		for c, m := range conns {
			if m.beatMs < beforeMs {
				cs.leaveProducer(c, group)
			}
		}
	}
	for group, g := range cs.consumers {
		told := false
		for c, m := range g.members {
			if m.beatMs < beforeMs {
				told = cs.leaveConsumer(c, group) || told
			}
		}
		if told {
			changed = append(changed, group)
		}
	}
	return changed
}
