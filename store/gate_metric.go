package store

import "github.com/prometheus/client_golang/prometheus"

// gateGauges export, when they are collected, what refuses messages at present, and
// what grows before it does.
type gateGauges struct {
	s             *Store
	shut, waiting *prometheus.Desc
}

func newGateGauges(s *Store) *gateGauges {
	return &gateGauges{
		s: s,
		shut: prometheus.NewDesc("duelog_refusing",
			"1 while messages are refused because the store is behind.", []string{"reason", "of"}, nil),
		waiting: prometheus.NewDesc("duelog_index_waiting_memtables",
			"Memtables of the delay index, or of the key index if those are more, that wait to be written.", []string{"lane"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (g *gateGauges) Describe(ch chan<- *prometheus.Desc) {
	ch <- g.shut
	ch <- g.waiting
}

// Collect implements prometheus.Collector.
func (g *gateGauges) Collect(ch chan<- prometheus.Metric) {
	gate := func(reason, of string, shut bool) {
		ch <- prometheus.MustNewConstMetric(g.shut, prometheus.GaugeValue, flag(shut), reason, of)
	}
	// Nobody else judges these while nothing is sent.
	now := g.s.NowMs()
	heavy, _ := g.s.judgeOverdue(true, now)
	light, _ := g.s.judgeOverdue(false, now)
	gate(BusyOverdue, "heavy", heavy)
	gate(BusyOverdue, "other", light)
	gate(BusyNear, "", g.s.busy.near.shut.Load())
	for _, l := range g.s.lanes {
		name := laneClasses[l.id].name
		gate(BusyIndex, name, g.s.busy.index[l.id].shut.Load())
		ch <- prometheus.MustNewConstMetric(g.waiting, prometheus.GaugeValue, float64(l.frozen()), name)
	}
}
