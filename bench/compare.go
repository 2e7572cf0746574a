package bench

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// A metric regresses when its median got worse by more than its threshold, and
// every run of the new file is worse than every run of the old one. The threshold
// is the larger of a floor, by the kind of metric, and noiseFactor times the
// spread that the repetitions show. With a single run on either side nothing is
// known of the spread: the floor is loneFactor times as high, and what a single stall
// decides is not judged: tails, and all that a clock measured on a busy machine.
const (
	noiseFactor = 3
	loneFactor  = 3
	// floorBytes is for what repeats exactly but for batching.
	floorBytes = 0.02
	// floorCPU is for CPU time, which other work on the machine moves a little.
	floorCPU = 0.10
	// floorClock is for what a clock measured.
	floorClock = 0.15
	// floorTail is for the 99th percentile of what a clock measured.
	floorTail = 0.5
	// loadedFactor widens the floor of clock figures of disturbed runs.
	loadedFactor = 3
)

// Delta compares one metric of one workload.
type Delta struct {
	Name      string  // system, workload and the params that tell it from others
	Metric    string  // as in Result.Metrics
	Old, New  float64 // medians
	Runs      [2]int  // repetitions on either side
	Change    float64 // how many times as bad, less 1: 0.5 is half as much again; negative is better
	Threshold float64 // relative; infinite for what cannot be judged
	Apart     bool    // the runs of both sides do not overlap
	Loaded    bool    // a run on either side was disturbed
}

// Regressed says that the metric got worse beyond the noise.
func (d *Delta) Regressed() bool { return d.Apart && d.Change > d.Threshold }

// Improved says that it got better beyond the noise.
func (d *Delta) Improved() bool { return d.Apart && d.Change < -d.Threshold }

// Comparison is that of two files.
type Comparison struct {
	Deltas []Delta
	// Broken are workloads of the new file that failed their own check.
	Broken []string
	// Missing are workloads with figures in the old file and none in the new one.
	Missing []string
}

// Regressed says that anything got worse: a metric, or a promise.
func (c *Comparison) Regressed() bool {
	return len(c.Broken) > 0 || len(c.Missing) > 0 || slices.ContainsFunc(c.Deltas, func(d Delta) bool { return d.Regressed() })
}

// Compare compares what two files have in common, in the order of the new one.
// Limits of the machine are not judged.
func Compare(before, after *File) *Comparison {
	old, oldKeys := group(before)
	now, keys := group(after)
	c := &Comparison{}
	for _, k := range keys {
		if slices.ContainsFunc(now[k], func(r *Result) bool { return r.Failed() }) {
			c.Broken = append(c.Broken, k)
			continue
		}
		c.Deltas = append(c.Deltas, compareGroup(k, old[k], now[k])...)
	}
	for _, k := range oldKeys {
		if measured(old[k]) && !measured(now[k]) && !slices.Contains(c.Broken, k) {
			c.Missing = append(c.Missing, k)
		}
	}
	return c
}

func measured(rs []*Result) bool {
	return slices.ContainsFunc(rs, func(r *Result) bool { return r.Status() == "" })
}

// group collects repetitions, and the keys in the order of the file.
func group(f *File) (map[string][]*Result, []string) {
	groups := map[string][]*Result{}
	var keys []string
	for i := range f.Results {
		r := &f.Results[i]
		if r.System == SystemLimit {
			continue
		}
		k := r.Key()
		if groups[k] == nil {
			keys = append(keys, k)
		}
		groups[k] = append(groups[k], r)
	}
	return groups, keys
}

// Key names what was measured: system, workload and params. Results with the same
// key are repetitions.
func (r *Result) Key() string {
	parts := []string{r.System + "/" + r.Workload}
	for _, k := range slices.Sorted(maps.Keys(r.Params)) {
		if !unjudged[k] {
			parts = append(parts, fmt.Sprintf("%s=%v", k, r.Params[k]))
		}
	}
	return strings.Join(parts, " ")
}

func compareGroup(key string, old, now []*Result) []Delta {
	var out []Delta
	for _, name := range MetricNames(now) {
		sense := senseOf(name)
		a, b := values(old, name), values(now, name)
		if sense == 0 || len(a) == 0 || len(b) == 0 {
			continue
		}
		d := Delta{Name: key, Metric: name, Old: median(a), New: median(b), Runs: [2]int{len(a), len(b)}}
		d.Loaded = slices.ContainsFunc(slices.Concat(old, now), func(r *Result) bool { return r.Loaded() })
		d.Change = change(d.Old, d.New, sense)
		d.Apart = slices.Max(a) < slices.Min(b) || slices.Max(b) < slices.Min(a)
		d.Threshold = threshold(name, a, b, d.Loaded)
		out = append(out, d)
	}
	return out
}

// MetricNames returns the names of all metrics in rs, sorted.
func MetricNames(rs []*Result) []string {
	names := map[string]bool{}
	for _, r := range rs {
		for n := range r.Metrics {
			names[n] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}

// unjudgedMetrics describe the surroundings, extremes of a single message, or
// repeat what another metric says.
var unjudgedMetrics = map[string]bool{
	"load_avg": true, "other_cpus": true, "lateness_min_ms": true, "lateness_max_ms": true, "ordinary_max_ms": true,
	"early": true, "lost": true, "duplicates": true, "limit_fraction": true, "client_cpu_us_per_msg": true,
	"device_written_per_ordinary": true, "device_written_per_scheduled": true, "slow_delivered": true, "empty_restart_ms": true,
}

// senseOf is +1 when more is worse, -1 when more is better, 0 when neither is.
func senseOf(metric string) int {
	switch {
	case unjudgedMetrics[metric]:
		return 0
	case strings.HasSuffix(metric, "_per_s"):
		return -1
	}
	return 1
}

// change is how many times as bad new is as old, less 1, or the other way round
// and negative when it is better. So half the rate is as bad as twice the time.
func change(old, new float64, sense int) float64 {
	if sense < 0 {
		old, new = new, old
	}
	switch {
	case old == new:
		return 0
	case old < new && old <= 0:
		return math.Inf(1)
	case old < new:
		return new/old - 1
	case new <= 0:
		return math.Inf(-1)
	}
	return 1 - old/new
}

func threshold(metric string, a, b []float64, loaded bool) float64 {
	floor, clock := floorClock, true
	switch {
	case strings.Contains(metric, "bytes"), strings.HasSuffix(metric, "_ratio"), strings.Contains(metric, "written"), strings.Contains(metric, "allocated"):
		floor, clock = floorBytes, false
	case strings.Contains(metric, "cpu"):
		floor, clock = floorCPU, false
	}
	if strings.Contains(metric, "rss") {
		floor, clock = floorCPU, false
	}
	tail := strings.Contains(metric, "_p99_")
	if tail {
		floor = floorTail
	}
	switch alone := min(len(a), len(b)) < 2; {
	case alone && (tail || clock && loaded):
		return math.Inf(1)
	case alone:
		floor *= loneFactor
	}
	if clock && loaded {
		floor *= loadedFactor
	}
	return max(floor, noiseFactor*math.Hypot(deviation(a), deviation(b)))
}

// deviation is the standard deviation of v relative to its mean; 0 for fewer than
// two values.
func deviation(v []float64) float64 {
	if len(v) < 2 {
		return 0
	}
	var mean, sum float64
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		sum += (x - mean) * (x - mean)
	}
	if mean == 0 {
		return 0
	}
	return math.Sqrt(sum/float64(len(v)-1)) / math.Abs(mean)
}

// values are those of the results that have figures.
func values(rs []*Result, metric string) []float64 {
	var out []float64
	for _, r := range rs {
		if v, ok := r.Metrics[metric]; ok && r.Status() == "" {
			out = append(out, v)
		}
	}
	return out
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	n := len(s)
	if n%2 == 1 {
		return s[n/2]
	}
	return (s[n/2-1] + s[n/2]) / 2
}

// Median returns the median of a metric over repetitions that have figures, and
// whether there is one.
func Median(rs []*Result, metric string) (float64, bool) {
	v := values(rs, metric)
	if len(v) == 0 {
		return 0, false
	}
	return median(v), true
}

// Repetitions returns the results of f without limits, repetitions together, in
// the order in which they first appear.
func Repetitions(f *File) [][]*Result {
	groups, keys := group(f)
	out := make([][]*Result, len(keys))
	for i, k := range keys {
		out[i] = groups[k]
	}
	return out
}
