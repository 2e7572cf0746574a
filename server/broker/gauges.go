package broker

import (
	"strconv"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/duelog/duelog/server/remoting"
)

// gauges computes, when it is scraped, what nobody needs to keep counting:
// connections, table sizes and how far consumer groups are behind.
type gauges struct {
	b                         *Broker
	lag, producers, consumers *prometheus.Desc
	topics, groups            *prometheus.Desc
	enqueued, dequeued        *prometheus.Desc
}

func newGauges(b *Broker) *gauges {
	desc := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	return &gauges{
		b:         b,
		lag:       desc("rocketmq_consumer_lag_messages", "Messages of a topic that a consumer group has not acknowledged.", "topic", "consumer_group"),
		producers: desc("rocketmq_producer_connections", "Connections registered as producers.", "language", "version"),
		consumers: desc("rocketmq_consumer_connections", "Connections registered as consumers.", "consumer_group", "language", "version"),
		topics:    desc("rocketmq_topic_number", "Topics, the system's own included."),
		groups:    desc("rocketmq_consumer_group_number", "Consumer groups, the system's own included."),
		enqueued:  desc("rocketmq_timer_enqueue_total", "Messages with a fire time stored for a topic since the start.", "topic"),
		dequeued:  desc("rocketmq_timer_dequeue_total", "Messages with a fire time that became visible since the start.", "topic"),
	}
}

// Describe implements prometheus.Collector.
func (g *gauges) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{g.lag, g.producers, g.consumers, g.topics, g.groups, g.enqueued, g.dequeued} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (g *gauges) Collect(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	gauge(g.topics, float64(len(g.b.topics.Names())))
	gauge(g.groups, float64(len(g.b.groups.Names())))
	for k, n := range g.b.clients.producerCounts() {
		gauge(g.producers, float64(n), remoting.LanguageName(k.language), strconv.Itoa(int(k.version)))
	}
	for k, n := range g.b.clients.consumerCounts() {
		gauge(g.consumers, float64(n), k.group, remoting.LanguageName(k.language), strconv.Itoa(int(k.version)))
	}
	for k, n := range g.b.lags() {
		gauge(g.lag, float64(n), k.topic, k.group)
	}
	g.collectTimers(ch)
}

// collectTimers sums, per topic, what was scheduled and what was fired.
func (g *gauges) collectTimers(ch chan<- prometheus.Metric) {
	for _, name := range g.b.topics.Names() {
		topic, ok := g.b.topics.Lookup(name)
		if !ok {
			continue
		}
		if in, out := topic.timed(); in+out > 0 {
			ch <- prometheus.MustNewConstMetric(g.enqueued, prometheus.CounterValue, float64(in), name)
			ch <- prometheus.MustNewConstMetric(g.dequeued, prometheus.CounterValue, float64(out), name)
		}
	}
}

// lags sums, per topic and group, the messages above the committed offsets.
func (b *Broker) lags() map[offsetKey]int64 {
	sums := make(map[offsetKey]int64)
	for key, byQueue := range b.offsets.all() {
		topic, ok := b.topics.Lookup(key.topic)
		if !ok {
			continue
		}
		var sum int64
		for id, offset := range byQueue {
			if id < 0 || id >= topic.ReadQueues {
				continue
			}
			if q := topic.lookup(id); q != nil {
				sum += max(0, q.Max()-max(offset, q.Min()))
			}
		}
		sums[key] = sum
	}
	return sums
}
