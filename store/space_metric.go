package store

import (
	"github.com/prometheus/client_golang/prometheus"

	"github.com/duelog/duelog/commitlog/cold"
)

// coldClass is what metrics call lane 16.
const coldClass = "cold"

// spaceGauges export spaceByLane and the space of cold files when they are collected.
// What is dead in an ordinary lane and shares its unit with something alive counts as
// live: to tell them apart takes a look at each message, which Space has.
type spaceGauges struct {
	s    *Store
	desc *prometheus.Desc
}

func newSpaceGauges(s *Store) *spaceGauges {
	return &spaceGauges{s: s, desc: prometheus.NewDesc("duelog_space_bytes",
		"Bytes of commit-log and cold files by class of delay and by what they are there for.", []string{"lane", "state"}, nil)}
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
	sp := g.s.coldSpace()
	gauge(coldClass, "pending", sp.Waiting)
	gauge(coldClass, "live", sp.Fired)
	gauge(coldClass, "dead", sp.Dead)
	gauge("spare", "recyclable", g.s.pool.Bytes())
}

// coldSpace is the space of lane 16, cancelled messages counted as if they were not.
func (s *Store) coldSpace() cold.Space {
	firedMs := s.mark().firedMs
	return s.cold.files.SpaceAt(min(s.clock.NowMs()-s.opts.ScheduledRetention.Milliseconds(), firedMs), firedMs)
}
