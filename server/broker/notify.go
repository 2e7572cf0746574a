package broker

import (
	"context"
	"time"

	"github.com/duelog/duelog/server/remoting"
)

// expiryEvery is how often clients without heartbeats are looked for.
const expiryEvery = 10 * time.Second

// notifyAll tells the members of each group that the group has changed.
func (b *Broker) notifyAll(groups []string) {
	for _, group := range groups {
		b.notify(group)
	}
}

// notify asks every member of a consumer group to compute its share of the
// queues anew. Without it they would do so every 20 s only.
func (b *Broker) notify(group string) {
	if g, ok := b.groups.Lookup(group); ok && !g.NotifyEnable {
		return
	}
	for _, c := range b.clients.Consumer(group) {
		cmd := remoting.Command{Code: remoting.ReqNotifyConsumerIDsChanged, Ext: []remoting.Field{{Key: "consumerGroup", Value: group}}}
		if err := c.Oneway(&cmd); err == nil {
			b.metrics.notified.Inc()
		}
	}
}

// runExpiry removes silent clients until the broker closes.
func (b *Broker) runExpiry(ctx context.Context) {
	tick := time.NewTicker(expiryEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			b.expire(b.store.NowMs())
		}
	}
}

// expire forgets, as of nowMs, the clients and locks that nobody renews.
func (b *Broker) expire(nowMs int64) {
	b.notifyAll(b.clients.expire(nowMs - b.opts.ClientExpiry.Milliseconds()))
	b.locks.expire(nowMs)
}
