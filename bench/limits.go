package bench

import (
	"context"

	"github.com/duelog/duelog/bench/limit"
)

// Limits are what this machine could do at best with bodies of some sizes,
// measured in the same run as the systems. The zero value knows none yet.
type Limits struct {
	// Config is what limit.Measure is called with, except for the size.
	Config limit.Config
	known  map[int]map[string]limit.Figure
}

// Know reports whether the limits for bodies of size bytes were measured.
func (l *Limits) Know(size int) bool {
	_, ok := l.known[size]
	return ok
}

// Measure measures the limits for bodies of size bytes, unless they are known,
// and returns them as results; nil when they were known.
func (l *Limits) Measure(ctx context.Context, size int) ([]Result, error) {
	if l.Know(size) {
		return nil, nil
	}
	return l.measure(ctx, size)
}

// Correct measures the limit of r again if r has passed it, which says that it was
// measured at a bad moment, and returns the limit as a result. The better
// measurement counts from then on, for r too.
func (l *Limits) Correct(ctx context.Context, r *Result) ([]Result, error) {
	name, _ := r.Params["limit"].(string)
	size, _ := r.Params["body"].(int)
	old, ok := l.known[size][name]
	if !ok || r.Metrics["limit_fraction"] <= 1 {
		return nil, nil
	}
	out, err := l.measure(ctx, size, name)
	if err != nil {
		return nil, err
	}
	now := l.known[size][name]
	if name == limit.Timer || name == limit.TimerLocal {
		r.Metrics["limit_fraction"] *= float64(now.P50) / float64(old.P50)
	} else {
		r.Metrics["limit_fraction"] *= old.PerSecond / now.PerSecond
	}
	return out, nil
}

func (l *Limits) measure(ctx context.Context, size int, names ...string) ([]Result, error) {
	before := meter{}.read()
	c := l.Config
	c.Body = size
	figures, err := limit.Measure(ctx, c, names...)
	if err != nil {
		return nil, err
	}
	iv := meter{}.since(before)
	if l.known == nil {
		l.known = map[int]map[string]limit.Figure{}
	}
	if l.known[size] == nil {
		l.known[size] = map[string]limit.Figure{}
	}
	var out []Result
	for _, f := range figures {
		if old, ok := l.known[size][f.Name]; ok {
			l.known[size][f.Name] = old.Better(f)
		} else {
			l.known[size][f.Name] = f
		}
		r := Result{System: SystemLimit, Workload: f.Name, Params: map[string]any{"body": size}, Metrics: figureMetrics(f), Histograms: map[string]Histogram{}}
		iv.addTo(&r, 0)
		out = append(out, r)
	}
	return out, nil
}

// SystemLimit is Result.System of a limit.
const SystemLimit = "limit"

func figureMetrics(f limit.Figure) map[string]float64 {
	m := map[string]float64{"cpu_us_per_msg": float64(f.CPU.Nanoseconds()) / 1000}
	if f.Name == limit.Timer || f.Name == limit.TimerLocal {
		m["lateness_p50_ms"], m["lateness_p99_ms"] = ms(f.P50), ms(f.P99)
		return m
	}
	m["send_per_s"] = f.PerSecond
	if f.P50 > 0 {
		m["op_p50_ms"], m["op_p99_ms"] = ms(f.P50), ms(f.P99)
	}
	return m
}

// rate returns the lowest of the named bounds on messages per second, and which
// one it is; 0 when none is known.
func (l *Limits) rate(size int, names ...string) (perSecond float64, name string) {
	if l == nil {
		return 0, ""
	}
	for _, n := range names {
		if f := l.known[size][n].PerSecond; f > 0 && (perSecond == 0 || f < perSecond) {
			perSecond, name = f, n
		}
	}
	return perSecond, name
}

// lateness returns the median of a bare timer loop in ms; 0 when not known.
func (l *Limits) lateness(size int, name string) float64 {
	if l == nil {
		return 0
	}
	return ms(l.known[size][name].P50)
}

// limited notes what fraction of a bound on the rate r reached.
func (r *Result) limited(rate, bound float64, name string) {
	if bound > 0 {
		r.Metrics["limit_fraction"] = rate / bound
		r.Params["limit"] = name
	}
}
