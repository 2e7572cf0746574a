package broker

import (
	"cmp"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are the broker's counters. Where RocketMQ has one with the same
// meaning its name is used, so that existing dashboards show it.
type metrics struct {
	reg        prometheus.Registerer // nil: not exported
	registered []prometheus.Collector
	err        error // the first failure to register

	messagesIn    *prometheus.CounterVec // topic
	throughputIn  *prometheus.CounterVec // topic; bytes of stored records
	messagesOut   *prometheus.CounterVec // topic, consumer_group
	throughputOut *prometheus.CounterVec // topic, consumer_group; bytes of records sent
	toDLQ         *prometheus.CounterVec // topic, consumer_group

	refused      *prometheus.CounterVec // code, reason: requests refused with an answer
	damaged      prometheus.Counter     // records not delivered or stored again because their bytes are bad
	heldPulls    prometheus.Gauge
	offsetsSaved prometheus.Counter
	notified     prometheus.Counter

	traffic traffic // the sums of messagesIn and messagesOut
}

// inCounters counts what arrives for one topic; kept in the Topic so that a
// send does not look its counters up.
type inCounters struct {
	messages, bytes prometheus.Counter
	traffic         *traffic
}

// add counts n stored messages of together so many bytes.
func (c *inCounters) add(n, bytes int) {
	c.messages.Add(float64(n))
	c.traffic.in.Add(int64(n))
	c.bytes.Add(float64(bytes))
}

func newMetrics(o *Options) *metrics {
	m := &metrics{}
	if o.Registerer != nil {
		m.reg = prometheus.WrapRegistererWith(prometheus.Labels{"cluster": o.ClusterName, "node_id": o.BrokerName}, o.Registerer)
	}
	m.messagesIn = m.counters("rocketmq_messages_in_total", "Messages stored for a topic, by producers and by the broker itself.", "topic")
	m.throughputIn = m.counters("rocketmq_throughput_in_total", "Bytes of messages stored for a topic.", "topic")
	m.messagesOut = m.counters("rocketmq_messages_out_total", "Messages delivered to a consumer group.", "topic", "consumer_group")
	m.throughputOut = m.counters("rocketmq_throughput_out_total", "Bytes of messages delivered to a consumer group.", "topic", "consumer_group")
	m.toDLQ = m.counters("rocketmq_send_to_dlq_messages_total", "Messages given up after their last retry.", "topic", "consumer_group")
	m.refused = m.counters("duelog_refused_total", "Requests refused with an answer, by response code and reason.", "code", "reason")
	m.damaged = m.counter("duelog_damaged_records_total", "Queue slots or records that were not handed out or stored again because their bytes are damaged or gone.")
	m.offsetsSaved = m.counter("duelog_offsets_saved_total", "Writes of the consumer offsets file.")
	m.notified = m.counter("duelog_membership_notifications_total", "Notifications to consumers that their group changed.")
	m.heldPulls = prometheus.NewGauge(prometheus.GaugeOpts{Name: "duelog_held_pulls", Help: "Pulls that wait for a message."})
	m.register(m.heldPulls)
	return m
}

func (m *metrics) counters(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	m.register(c)
	return c
}

func (m *metrics) counter(name, help string) prometheus.Counter {
	c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	m.register(c)
	return c
}

// register exports c until unregister. Two brokers with the same names on one
// Registerer are a mistake in the wiring; New reports it.
func (m *metrics) register(c prometheus.Collector) {
	if m.reg == nil {
		return
	}
	if err := m.reg.Register(c); err != nil {
		m.err = cmp.Or(m.err, err)
		return
	}
	m.registered = append(m.registered, c)
}

// watch exports the gauges that are computed from b when they are asked for.
func (m *metrics) watch(b *Broker) { m.register(newGauges(b)) }

// unregister takes everything out of the Registerer again.
func (m *metrics) unregister() {
	for _, c := range m.registered {
		m.reg.Unregister(c)
	}
	m.registered = nil
}

// in returns the counters of a topic.
func (m *metrics) in(topic string) inCounters {
	return inCounters{messages: m.messagesIn.WithLabelValues(topic), bytes: m.throughputIn.WithLabelValues(topic), traffic: &m.traffic}
}

// delivered counts n messages handed to a consumer group.
func (m *metrics) delivered(topic, group string, n, bytes int) {
	m.traffic.out.Add(int64(n))
	m.messagesOut.WithLabelValues(topic, group).Add(float64(n))
	m.throughputOut.WithLabelValues(topic, group).Add(float64(bytes))
}
