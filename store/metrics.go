package store

import (
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/duelog/duelog/delayindex"
)

// metrics of one store. They exist whether or not they are registered.
type metrics struct {
	lateness          *lateness
	journalSeconds    prometheus.Histogram
	checkpointSeconds prometheus.Histogram
	evacuated         prometheus.Counter
	evacuatedBytes    prometheus.Counter
	mergedRuns        prometheus.Counter
	firedTotal        prometheus.Counter
	orphaned          prometheus.Counter
	tooFar            prometheus.Counter
	throttled         prometheus.Counter
	prefetched        prometheus.Counter
	busy              *prometheus.CounterVec
	writeSeconds      prometheus.Histogram
	syncSeconds       prometheus.Histogram
	gauges            []prometheus.Collector
	registered        []prometheus.Collector // to be taken back by unregister
}

func newMetrics(s *Store) *metrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
	}
	histogram := func(name, help string) prometheus.Histogram {
		return prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: name, Help: help, Buckets: prometheus.ExponentialBuckets(50e-6, 2, 16),
		})
	}
	return &metrics{
		lateness:          newLateness(),
		journalSeconds:    histogram("duelog_journal_append_seconds", "Time to make one batch of firings durable by the flush policy."),
		checkpointSeconds: histogram("duelog_checkpoint_seconds", "Time to write one checkpoint."),
		firedTotal:        counter("duelog_fired_total", "Scheduled messages that became visible."),
		orphaned:          counter("duelog_orphaned_total", "Due messages dropped because their topic was deleted."),
		tooFar:            counter("duelog_refused_too_far_total", "Messages refused because their fire time was beyond the limit."),
		busy:              s.busy.refused,
		prefetched:        counter("duelog_prefetched_bytes_total", "Bytes of messages that were read ahead of their time because they were not in memory."),
		throttled:         counter("duelog_fire_throttled_total", "Times firing waited for its rate limit."),
		evacuated:         counter("duelog_evacuated_total", "Far-future messages moved into cold files."),
		evacuatedBytes:    counter("duelog_evacuated_bytes_total", "Bytes of these messages before compression."),
		mergedRuns:        counter("duelog_merged_runs_total", "Runs of the delay index merged with their neighbours."),
		writeSeconds:      histogram("duelog_append_seconds", "Time to write one batch of messages or firings, without the sync."),
		syncSeconds:       histogram("duelog_flush_seconds", "Time of one fdatasync of a segment."),
		gauges:            storeGauges(s),
	}
}

// storeGauges read the store when they are collected.
func storeGauges(s *Store) []prometheus.Collector {
	gauge := func(name, help string, f func(*Stats) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			st := s.Stats()
			return f(&st)
		})
	}
	out := []prometheus.Collector{
		gauge("duelog_pending_messages", "Scheduled messages that have not fired.", func(st *Stats) float64 { return float64(st.Pending) }),
		gauge("duelog_overdue_seconds", "How far firing is behind the wall clock.", func(st *Stats) float64 { return float64(st.BehindMs) / 1e3 }),
		gauge("duelog_overdue_messages", "Messages in memory whose fire time has passed.", func(st *Stats) float64 { return float64(st.Overdue) }),
		gauge("duelog_backlog_seconds", "For how long something that is due has been waiting to be fired.", func(st *Stats) float64 { return float64(st.BacklogMs) / 1e3 }),
		gauge("duelog_heavy_topics", "Topics that fire behind the others because they had more than their share of a backlog.", func(st *Stats) float64 { return float64(st.HeavyTopics) }),
		gauge("duelog_near_entries", "Index entries in the near wheel.", func(st *Stats) float64 { return float64(st.NearEntries) }),
		gauge("duelog_key_entries", "Entries of the key index.", func(st *Stats) float64 { return float64(st.KeyEntries) }),
		gauge("duelog_key_runs", "Files of the key index.", func(st *Stats) float64 { return float64(st.KeyRuns) }),
		gauge("duelog_disk_full", "1 while new messages are refused for want of space.", func(st *Stats) float64 { return flag(st.DiskFull) }),
		gauge("duelog_disk_level", "How full the disk is: 0 enough space, 1 beyond the warning, 2 new messages are refused.", func(st *Stats) float64 { return float64(st.DiskLevel) }),
		gauge("duelog_disk_free_bytes", "Bytes left on the file system of the store.", func(st *Stats) float64 { return float64(st.DiskFree) }),
		gauge("duelog_store_failed", "1 after an error that needs a restart.", func(st *Stats) float64 { return flag(st.Failed) }),
		gauge("duelog_write_amplification", "Bytes written to all files per byte of payload accepted.", func(st *Stats) float64 { return st.WriteAmplification() }),
	}
	out = append(out, prometheus.NewCounterFunc(prometheus.CounterOpts{
		Name: "duelog_cancelled_total", Help: "Scheduled messages that were cancelled.",
	}, func() float64 { return float64(s.cancels.total.Load()) }))
	for i, class := range bytesClasses {
		out = append(out, prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name: "duelog_stored_bytes", Help: "Bytes on disk by class of file.",
			ConstLabels: prometheus.Labels{"class": class},
		}, func() float64 { return float64(s.Stats().StoredBytes[i]) }))
		out = append(out, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "duelog_written_bytes_total", Help: "Bytes written by class of file.",
			ConstLabels: prometheus.Labels{"class": class},
		}, func() float64 { return float64(s.written[i].Load()) }))
	}
	return append(out, newSpaceGauges(s), newGateGauges(s))
}

func flag(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func (m *metrics) collectors() []prometheus.Collector {
	return append([]prometheus.Collector{
		m.evacuated, m.evacuatedBytes, m.mergedRuns,
		m.lateness, m.journalSeconds, m.checkpointSeconds, m.firedTotal, m.orphaned, m.tooFar, m.throttled, m.prefetched, m.writeSeconds, m.syncSeconds,
		m.busy,
	}, m.gauges...)
}

func (m *metrics) register(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	for _, c := range m.collectors() {
		if err := reg.Register(c); err != nil {
			return err
		}
		m.registered = append(m.registered, c)
	}
	return nil
}

func (m *metrics) unregister(reg prometheus.Registerer) {
	if reg == nil {
		return
	}
	for _, c := range m.registered {
		reg.Unregister(c)
	}
}

// fired counts a batch, in fire-time order, that became visible at nowMs.
func (m *metrics) fired(batch []delayindex.Entry, nowMs int64) {
	m.firedTotal.Add(float64(len(batch)))
	for len(batch) > 0 {
		ms := batch[0].FireMs()
		n := 1
		for n < len(batch) && batch[n].FireMs() == ms {
			n++
		}
		m.lateness.observe(nowMs-ms, n)
		batch = batch[n:]
	}
}

// latenessBounds are the upper bounds, in ms, of the lateness histogram.
var latenessBounds = [...]int64{0, 1, 2, 3, 5, 10, 20, 50, 100, 200, 500, 1000, 5000, 60_000}

// lateness is a histogram that takes many equal observations at once, which
// the library's does not: a burst of a million messages is one call per ms.
type lateness struct {
	desc    *prometheus.Desc
	buckets [len(latenessBounds) + 1]atomic.Uint64
	sumMs   atomic.Int64
}

func newLateness() *lateness {
	return &lateness{desc: prometheus.NewDesc("duelog_lateness_seconds",
		"How long after its fire time a message became visible, in whole milliseconds.", nil, nil)}
}

func (l *lateness) observe(ms int64, n int) {
	i := 0
	for i < len(latenessBounds) && ms > latenessBounds[i] {
		i++
	}
	l.buckets[i].Add(uint64(n))
	l.sumMs.Add(ms * int64(n))
}

// Describe implements prometheus.Collector.
func (l *lateness) Describe(ch chan<- *prometheus.Desc) { ch <- l.desc }

// Collect implements prometheus.Collector.
func (l *lateness) Collect(ch chan<- prometheus.Metric) {
	var count uint64
	cumulative := make(map[float64]uint64, len(latenessBounds))
	for i, bound := range latenessBounds {
		count += l.buckets[i].Load()
		cumulative[float64(bound)/1e3] = count
	}
	count += l.buckets[len(latenessBounds)].Load()
	ch <- prometheus.MustNewConstHistogram(l.desc, count, float64(l.sumMs.Load())/1e3, cumulative)
}
