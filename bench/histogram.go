package bench

import (
	"math"
	"sync"

	hdr "github.com/HdrHistogram/hdrhistogram-go"
)

// Range of a recorder: a microsecond to a day, to three digits. What lies outside
// counts as the nearest end.
const (
	lowestUs  = 1
	highestUs = 24 * 3600 * 1_000_000
	digits    = 3
	// shownDigits is the precision of the buckets that a result keeps.
	shownDigits = 2
)

// recorder collects signed durations in microseconds. Lateness is signed, because
// a message that came early is the one fault that must not vanish in a zero. Any
// goroutine may record.
type recorder struct {
	mu       sync.Mutex
	late     *hdr.Histogram // values of 0 and above
	early    *hdr.Histogram // magnitudes of values below 0; nil until there is one
	min, max int64          // exact
	count    int64
	sum      int64
}

func newRecorder() *recorder {
	return &recorder{late: hdr.New(lowestUs, highestUs, digits), min: math.MaxInt64, max: math.MinInt64}
}

// record adds a value in microseconds.
func (r *recorder) record(us int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.min, r.max = min(r.min, us), max(r.max, us)
	r.count++
	r.sum += us
	h := r.late
	if us < 0 {
		if r.early == nil {
			r.early = hdr.New(lowestUs, highestUs, digits)
		}
		h, us = r.early, -us
	}
	_ = h.RecordValue(min(us, highestUs)) // in range by the line before
}

// percentile returns the value in microseconds that p percent do not exceed; 0
// when nothing was recorded.
func (r *recorder) percentile(p float64) int64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.percentileLocked(p)
}

func (r *recorder) percentileLocked(p float64) int64 {
	switch {
	case r.count == 0:
		return 0
	case p >= 100:
		return r.max
	}
	early := int64(0)
	if r.early != nil {
		early = r.early.TotalCount()
	}
	rank := max(int64(math.Ceil(p/100*float64(r.count))), 1)
	if rank <= early { // the smallest values are the largest magnitudes
		return max(-r.early.ValueAtPercentile(100*float64(early-rank+1)/float64(early)), r.min)
	}
	return min(r.late.ValueAtPercentile(100*float64(rank-early)/float64(r.count-early)), r.max)
}

// Histogram is a recorded distribution as results keep it.
type Histogram struct {
	// Unit is that of all values: "us", or "ms since start" for a course over time.
	Unit  string  `json:"unit"`
	Count int64   `json:"count"`
	Min   int64   `json:"min"`
	Max   int64   `json:"max"`
	Mean  float64 `json:"mean"`
	// Buckets are pairs of a value and how many lie at it, in rising order: the
	// highest value of the bucket, to two digits, or the start of an interval of time.
	Buckets [][2]int64 `json:"buckets"`
}

// histogram returns what was recorded so far; nil when that is nothing.
func (r *recorder) histogram() *Histogram {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.count == 0 {
		return nil
	}
	h := &Histogram{Unit: "us", Count: r.count, Min: r.min, Max: r.max, Mean: float64(r.sum) / float64(r.count)}
	if r.early != nil {
		bars := coarse(r.early)
		for i := range bars {
			b := bars[len(bars)-1-i]
			h.Buckets = append(h.Buckets, [2]int64{-b.From, b.Count})
		}
	}
	for _, b := range coarse(r.late) {
		h.Buckets = append(h.Buckets, [2]int64{b.To, b.Count})
	}
	return h
}

// coarse returns the bars of h that are not empty, to shownDigits.
func coarse(h *hdr.Histogram) []hdr.Bar {
	c := hdr.New(lowestUs, highestUs, shownDigits)
	c.Merge(h)
	var out []hdr.Bar
	for _, b := range c.Distribution() {
		if b.Count > 0 {
			out = append(out, b)
		}
	}
	return out
}

// Percentile returns the value that p percent of the counted do not exceed, as
// exactly as the buckets tell.
func (h *Histogram) Percentile(p float64) int64 {
	rank := max(int64(math.Ceil(p/100*float64(h.Count))), 1)
	for _, b := range h.Buckets {
		if rank -= b[1]; rank <= 0 {
			return min(b[0], h.Max)
		}
	}
	return h.Max
}
