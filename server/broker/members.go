package broker

import (
	"slices"

	"github.com/duelog/duelog/server/remoting"
)

// Producer returns the connections of a producer group, in no order.
func (cs *clients) Producer(group string) []*remoting.Conn {
	cs.mu.RLock()
	defer cs.mu.RUnlock()
	return connsOf(cs.producers[group])
}

// Consumer returns the connections of a consumer group, in no order.
func (cs *clients) Consumer(group string) []*remoting.Conn {
	cs.mu.RLock()
	defer cs.mu.RUnlock()
	if g := cs.consumers[group]; g != nil {
		return connsOf(g.members)
	}
	return nil
}

func connsOf(members map[*remoting.Conn]*member) []*remoting.Conn {
	conns := make([]*remoting.Conn, 0, len(members))
	for c := range members {
		conns = append(conns, c)
	}
	return conns
}

// ConsumerIDs returns the client ids of a consumer group, each once, in order.
// Every member computes its share from this list, so all must get the same.
func (cs *clients) ConsumerIDs(group string) []string {
	cs.mu.RLock()
	defer cs.mu.RUnlock()
	g := cs.consumers[group]
	if g == nil {
		return nil
	}
	ids := make([]string, 0, len(g.members))
	for _, m := range g.members {
		ids = append(ids, m.clientID)
	}
	slices.Sort(ids)
	return slices.Compact(ids)
}

// Subscription returns what a consumer group wants of a topic. known is false
// when the group has no member; sub is nil when it does not want the topic.
func (cs *clients) Subscription(group, topic string) (sub *subscription, broadcast, known bool) {
	cs.mu.RLock()
	defer cs.mu.RUnlock()
	g := cs.consumers[group]
	if g == nil {
		return nil, false, false
	}
	return g.subs[topic], g.profile.messageModel == modelBroadcasting, true
}

// clientKind is what connection counts are broken down by.
type clientKind struct {
	group    string // consumer group; "" for producers
	language uint8
	version  int32
}

func (cs *clients) producerCounts() map[clientKind]int {
	cs.mu.RLock()
	defer cs.mu.RUnlock()
	kinds := make(map[*remoting.Conn]clientKind) // a connection may be in many groups
	for _, conns := range cs.producers {
		for c, m := range conns {
			kinds[c] = clientKind{language: m.language, version: m.version}
		}
	}
	counts := make(map[clientKind]int)
	for _, k := range kinds {
		counts[k]++
	}
	return counts
}

func (cs *clients) consumerCounts() map[clientKind]int {
	cs.mu.RLock()
	defer cs.mu.RUnlock()
	counts := make(map[clientKind]int)
	for group, g := range cs.consumers {
		for _, m := range g.members {
			counts[clientKind{group, m.language, m.version}]++
		}
	}
	return counts
}
