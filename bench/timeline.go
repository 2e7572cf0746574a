package bench

import (
	"sync/atomic"
	"time"
)

// timelineStep is the width of one interval of a timeline.
const timelineStep = 100 * time.Millisecond

// timelineSteps bounds a timeline to ten minutes; what comes later counts in the
// last interval.
const timelineSteps = 6000

// timeline counts events per interval of time. Any goroutine may add.
type timeline struct {
	start  time.Time
	counts [timelineSteps]atomic.Int64
}

func newTimeline(start time.Time) *timeline { return &timeline{start: start} }

func (t *timeline) add(at time.Time) {
	i := int(at.Sub(t.start) / timelineStep)
	t.counts[min(max(i, 0), timelineSteps-1)].Add(1)
}

// histogram returns the course from the first event to the last; nil when there
// is none.
func (t *timeline) histogram() *Histogram {
	first, last := -1, -1
	h := &Histogram{Unit: "ms since start"}
	for i := range t.counts {
		n := t.counts[i].Load()
		if n == 0 {
			continue
		}
		if first < 0 {
			first = i
		}
		last = i
		h.Count += n
	}
	if first < 0 {
		return nil
	}
	var sum float64
	for i := first; i <= last; i++ {
		at, n := int64(i)*timelineStep.Milliseconds(), t.counts[i].Load()
		h.Buckets = append(h.Buckets, [2]int64{at, n})
		sum += float64(at) * float64(n)
	}
	h.Min, h.Max, h.Mean = h.Buckets[0][0], h.Buckets[len(h.Buckets)-1][0], sum/float64(h.Count)
	return h
}

// peakPerSecond is the largest number of events within one second.
func (t *timeline) peakPerSecond() int64 {
	const steps = int(time.Second / timelineStep)
	var sum, peak int64
	for i := range t.counts {
		sum += t.counts[i].Load()
		if i >= steps {
			sum -= t.counts[i-steps].Load()
		}
		peak = max(peak, sum)
	}
	return peak
}
