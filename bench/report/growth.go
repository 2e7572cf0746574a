package report

import (
	"fmt"
	"slices"

	"github.com/duelog/duelog/bench"
)

// growthMetrics are what should not grow with the number of pending messages.
var growthMetrics = []column{
	{"append_ns", "append x"},
	{"cpu_us_per_msg", "CPU x"},
	{"rss_bytes", "RSS x"},
	{"anon_rss_bytes", "anonymous x"},
	{"restart_ms", "restart x"},
}

// growthSection judges the curve of Scale: for each system and way of sending, what
// the largest number of pending messages takes, over what the smallest does.
func growthSection(groups [][]*bench.Result) section {
	s := section{head: headOf(growthMetrics, "scale: growth", "system", "pending x", "B more/message")}
	for _, c := range scaleCurves(groups) {
		small, large := c[0], c[len(c)-1]
		from, to := pendingOf(small), pendingOf(large)
		if from >= to || from == 0 {
			continue
		}
		row := []string{count(from) + " to " + count(to) + " pending", systemOf(small[0])}
		for _, m := range growthMetrics {
			row = append(row, growth(small, large, m.metric))
		}
		s.rows = append(s.rows, append(row, format("ratio", to/from), bytesMore(small, large, to-from)))
	}
	return s
}

// scaleCurves are the results of Scale that differ in the number of pending messages
// only, smallest first.
func scaleCurves(groups [][]*bench.Result) [][][]*bench.Result {
	var curves [][][]*bench.Result
	at := map[string]int{}
	for _, g := range withFigures("scale", groups) {
		p := g[0].Params
		key := fmt.Sprint(systemOf(g[0]), p["body"], p["mix"], p["burst"], flow(p))
		i, ok := at[key]
		if !ok {
			i = len(curves)
			at[key] = i
			curves = append(curves, nil)
		}
		curves[i] = append(curves[i], g)
	}
	for _, c := range curves {
		slices.SortStableFunc(c, func(a, b []*bench.Result) int { return compareFloat(pendingOf(a), pendingOf(b)) })
	}
	return curves
}

func pendingOf(g []*bench.Result) float64 {
	n, _ := number(g[0].Params["n"])
	return n
}

// growth is how many times as much of a metric large has.
func growth(small, large []*bench.Result, metric string) string {
	a, okA := bench.Median(small, metric)
	b, okB := bench.Median(large, metric)
	if !okA || !okB || a <= 0 {
		return "-"
	}
	return format("ratio", b/a)
}

// bytesMore is the memory that each of n more pending messages takes.
func bytesMore(small, large []*bench.Result, n float64) string {
	a, okA := bench.Median(small, "rss_bytes")
	b, okB := bench.Median(large, "rss_bytes")
	if !okA || !okB {
		return "-"
	}
	return format("bytes", (b-a)/n)
}
