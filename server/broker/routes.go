package broker

import (
	"net/netip"
	"strings"
)

// Cluster is the name of the cluster, for a name server.
func (b *Broker) Cluster() string { return b.opts.ClusterName }

// BrokerName is the name of the broker, for a name server.
func (b *Broker) BrokerName() string { return b.opts.BrokerName }

// Advertised is the address clients dial, for a name server.
func (b *Broker) Advertised() netip.AddrPort { return b.opts.Advertise }

// Topics returns the names of all topics in order, for a name server.
func (b *Broker) Topics() []string { return b.topics.Names() }

// Route returns how many queues a topic has for reading and for writing, its
// permission bits and its flags; ok is false when there is no such topic.
//
// A retry topic is routed before it exists. A starting consumer asks for its route
// once, just before the heartbeat by which the topic is created, and then every
// 30 s only: told that there is none, it would get its first retry, which is due
// after 10 s, after 40 s.
func (b *Broker) Route(topic string) (read, write, perm, sysFlag int32, ok bool) {
	t, ok := b.topics.Lookup(topic)
	if !ok {
		queues := b.retryQueuesToCome(topic)
		return queues, queues, permRead | permWrite, 0, queues > 0
	}
	return t.ReadQueues, t.WriteQueues, t.Perm, t.SysFlag, true
}

// retryQueuesToCome is how many queues a retry topic that does not exist will get
// with the first heartbeat of its group; 0 when it will not be created. Nothing is
// created here: whoever asks for routes may make names up.
func (b *Broker) retryQueuesToCome(topic string) int32 {
	name, isRetry := strings.CutPrefix(topic, retryPrefix)
	if !isRetry || !b.opts.AutoCreateGroup || checkGroupName(name) != nil {
		return 0
	}
	if group, ok := b.groups.Lookup(name); ok {
		return max(group.RetryQueues, 0)
	}
	return defaultRetryQueues
}
