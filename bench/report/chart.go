package report

import (
	"fmt"
	"slices"
	"strings"

	"github.com/duelog/duelog/bench"
)

// chart is a figure with lines, whatever draws it.
type chart struct {
	name       string // fit for a file
	title      string
	x, y       string // labels of the axes, with unit
	logX, logY bool
	lines      []line
	xTime      bool // x is linear and begins at 0
	markers    bool // few points: show them
}

type line struct {
	name string
	pts  []point
}

type point struct{ x, y float64 }

// charts are all figures that f has data for.
func charts(f *bench.File) []chart {
	groups := bench.Repetitions(f)
	var out []chart
	out = append(out, cdfs(groups)...)
	out = append(out, courses(groups)...)
	return append(out, curves(groups)...)
}

// alike collects groups that belong into one figure: the same workload with the
// same title, one line per system.
// Acknowledgements are only of interest where sending is what is measured.
func alike(groups [][]*bench.Result, histogram string) (titles []string, byTitle map[string][][]*bench.Result) {
	byTitle = map[string][][]*bench.Result{}
	for _, g := range groups {
		aside := strings.HasPrefix(histogram, "ack") && g[0].Workload != "send"
		if aside || withHistogram(g, histogram) == nil {
			continue
		}
		t := title(g[0])
		if byTitle[t] == nil {
			titles = append(titles, t)
		}
		byTitle[t] = append(byTitle[t], g)
	}
	return titles, byTitle
}

// withHistogram returns the first repetition that has it.
func withHistogram(g []*bench.Result, name string) *bench.Histogram {
	for _, r := range g {
		if h, ok := r.Histograms[name]; ok && len(h.Buckets) > 0 {
			return &h
		}
	}
	return nil
}

// cdfs show which share of the messages was at most how late.
func cdfs(groups [][]*bench.Result) []chart {
	var out []chart
	for _, kind := range []struct{ histogram, what string }{
		{"lateness", "lateness"}, {"ordinary", "ordinary messages, send to receipt"}, {"ack", "acknowledgement"},
	} {
		titles, byTitle := alike(groups, kind.histogram)
		for _, t := range titles {
			c := chart{name: file(kind.histogram, t), title: t + ": " + kind.what, x: "ms", y: "share of messages, %", logX: true}
			for _, g := range byTitle[t] {
				c.lines = append(c.lines, line{systemOf(g[0]), cdf(withHistogram(g, kind.histogram))})
			}
			out = append(out, c)
		}
	}
	return out
}

// leastMs is where a logarithmic axis of time begins: the resolution of the
// histograms. What is at or below it, early included, is drawn there.
const leastMs = 0.001

func cdf(h *bench.Histogram) []point {
	var out []point
	var sum int64
	for _, b := range h.Buckets {
		sum += b[1]
		out = append(out, point{max(float64(b[0])/1000, leastMs), 100 * float64(sum) / float64(h.Count)})
	}
	return out
}

// courses show rates over time.
func courses(groups [][]*bench.Result) []chart {
	var out []chart
	for _, kind := range []struct{ histogram, what string }{
		{"delivered_over_time", "delivered"}, {"acked_over_time", "acknowledged"}, {"ordinary_over_time", "ordinary messages delivered"},
	} {
		titles, byTitle := alike(groups, kind.histogram)
		for _, t := range titles {
			c := chart{name: file(kind.histogram, t), title: t + ": " + kind.what, x: "s", y: "messages/s", xTime: true}
			for _, g := range byTitle[t] {
				c.lines = append(c.lines, line{systemOf(g[0]), course(withHistogram(g, kind.histogram))})
			}
			out = append(out, c)
		}
	}
	return out
}

// course turns counts per interval into a rate, which begins and ends at 0.
func course(h *bench.Histogram) []point {
	step := 100.0
	if len(h.Buckets) > 1 {
		step = float64(h.Buckets[1][0] - h.Buckets[0][0])
	}
	first, last := float64(h.Buckets[0][0]), float64(h.Buckets[len(h.Buckets)-1][0])
	out := []point{{first / 1000, 0}}
	for _, b := range h.Buckets {
		out = append(out, point{(float64(b[0]) + step/2) / 1000, float64(b[1]) * 1000 / step})
	}
	return append(out, point{(last + step) / 1000, 0})
}

// curves show what grows, or does not, with the number of pending messages.
func curves(groups [][]*bench.Result) []chart {
	var out []chart
	for _, k := range []struct {
		metric, y string
		logY      bool
	}{
		{"append_ns", "ns per append", false},
		{"rss_bytes", "memory, bytes", true},
		{"restart_ms", "restart, ms", true},
		{"drain_per_s", "drained/s", false},
	} {
		c := chart{name: "scale-" + k.metric, title: "scale: " + k.y, x: "pending messages", y: k.y, logX: true, logY: k.logY, markers: true}
		bySystem := map[string]int{}
		for _, g := range groups {
			n, ok := number(g[0].Params["n"])
			v, has := bench.Median(g, k.metric)
			if g[0].Workload != "scale" || !ok || !has {
				continue
			}
			i, known := bySystem[systemOf(g[0])]
			if !known {
				i = len(c.lines)
				bySystem[systemOf(g[0])] = i
				c.lines = append(c.lines, line{name: systemOf(g[0])})
			}
			c.lines[i].pts = append(c.lines[i].pts, point{n, v})
		}
		for _, l := range c.lines {
			slices.SortFunc(l.pts, func(a, b point) int { return compareFloat(a.x, b.x) })
		}
		if len(c.lines) > 0 {
			out = append(out, c)
		}
	}
	return out
}

func compareFloat(a, b float64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// file makes a name for a file of words.
func file(words ...string) string {
	s := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '_' {
			return r
		}
		return '-'
	}, strings.ToLower(strings.Join(words, "-")))
	return strings.Trim(strings.ReplaceAll(strings.ReplaceAll(s, "--", "-"), "--", "-"), "-")
}

// bounds returns the range of all points.
func (c *chart) bounds() (x0, x1, y0, y1 float64, err error) {
	first := true
	for _, l := range c.lines {
		for _, p := range l.pts {
			if first {
				x0, x1, y0, y1, first = p.x, p.x, p.y, p.y, false
			}
			x0, x1, y0, y1 = min(x0, p.x), max(x1, p.x), min(y0, p.y), max(y1, p.y)
		}
	}
	if first {
		return 0, 0, 0, 0, fmt.Errorf("figure %s has no points", c.name)
	}
	if !c.logY {
		y0 = 0
	}
	if c.xTime {
		x0 = min(x0, 0)
	}
	return x0, x1, y0, y1, nil
}
