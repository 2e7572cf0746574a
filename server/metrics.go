package server

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// processMetrics exports what only the process as a whole can say: the state of
// its connections, and the store's figures under the names that RocketMQ 5
// brokers have for them. Everything is read when it is asked for.
type processMetrics struct {
	wire  func() remoting.Stats
	store func() store.Stats

	connections, accepted, refused, closed *prometheus.Desc
	frames, badHeaders, bytes              *prometheus.Desc
	timerLag, timerLatency, storageSize    *prometheus.Desc
}

func newProcessMetrics(c *Config, wire func() remoting.Stats, st func() store.Stats) *processMetrics {
	own := func(name, help string, labels ...string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, labels, nil)
	}
	like := func(name, help string) *prometheus.Desc {
		return prometheus.NewDesc(name, help, nil, prometheus.Labels{"cluster": c.ClusterName, "node_id": c.BrokerName})
	}
	return &processMetrics{
		wire: wire, store: st,
		connections:  own("duelog_connections", "Open client connections."),
		accepted:     own("duelog_connections_accepted_total", "Client connections accepted."),
		refused:      own("duelog_connections_refused_total", "Client connections closed at once because there were too many."),
		closed:       own("duelog_connections_closed_total", "Client connections that ended, by reason.", "reason"),
		frames:       own("duelog_frames_received_total", "Requests and responses received from clients."),
		badHeaders:   own("duelog_bad_headers_total", "Frames whose header was malformed; their connections live on."),
		bytes:        own("duelog_wire_bytes_total", "Bytes moved on client connections.", "direction"),
		timerLag:     like("rocketmq_timer_dequeue_lag", "Scheduled messages that have not fired, due or not."),
		timerLatency: like("rocketmq_timer_dequeue_latency_milliseconds", "How far firing is behind the wall clock."),
		storageSize:  like("rocketmq_storage_size_bytes", "Bytes in use in the data directory."),
	}
}

// Describe implements prometheus.Collector.
func (m *processMetrics) Describe(ch chan<- *prometheus.Desc) { prometheus.DescribeByCollect(m, ch) }

// Collect implements prometheus.Collector.
func (m *processMetrics) Collect(ch chan<- prometheus.Metric) {
	m.collectWire(ch)
	m.collectStore(ch)
}

func (m *processMetrics) collectWire(ch chan<- prometheus.Metric) {
	count := func(d *prometheus.Desc, v uint64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(v), labels...)
	}
	st := m.wire()
	ch <- prometheus.MustNewConstMetric(m.connections, prometheus.GaugeValue, float64(st.Open))
	count(m.accepted, st.Accepted)
	count(m.refused, st.Refused)
	count(m.frames, st.Frames)
	count(m.badHeaders, st.BadHeaders)
	count(m.bytes, st.BytesIn, "in")
	count(m.bytes, st.BytesOut, "out")
	for reason, n := range st.Closed {
		count(m.closed, n, remoting.CloseReason(reason).String())
	}
}

func (m *processMetrics) collectStore(ch chan<- prometheus.Metric) {
	gauge := func(d *prometheus.Desc, v int64) {
		ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, float64(v))
	}
	st := m.store()
	gauge(m.timerLag, st.Pending)
	gauge(m.timerLatency, st.BehindMs)
	var size int64
	for _, n := range st.StoredBytes {
		size += n
	}
	gauge(m.storageSize, size)
}
