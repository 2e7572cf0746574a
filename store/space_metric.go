package store

import "github.com/prometheus/client_golang/prometheus"

// spaceGauges export spaceByLane when they are collected.
type spaceGauges struct {
	s    *Store
	desc *prometheus.Desc
}

func newSpaceGauges(s *Store) *spaceGauges {
	return &spaceGauges{s: s, desc: prometheus.NewDesc("duelog_space_bytes",
		"Bytes of commit-log files by class of delay and by what they are there for.", []string{"lane", "state"}, nil)}
}

// Describe implements prometheus.Collector.
func (g *spaceGauges) Describe(ch chan<- *prometheus.Desc) { ch <- g.desc }

// Collect implements prometheus.Collector.
func (g *spaceGauges) Collect(ch chan<- prometheus.Metric) {
	gauge := func(lane, state string, n int64) {
		ch <- prometheus.MustNewConstMetric(g.desc, prometheus.GaugeValue, float64(n), lane, state)
	}
	for id, b := range g.s.spaceByLane() {
		name := laneClasses[id].name
		gauge(name, "pending", b.Pending)
		gauge(name, "live", b.Live)
		gauge(name, "recyclable", b.Recyclable)
		gauge(name, "reserved", b.Reserved)
	}
	gauge("spare", "recyclable", g.s.pool.Bytes())
}
