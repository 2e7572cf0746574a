package report

import (
	"slices"

	"github.com/duelog/duelog/bench"
)

// besideSystem is compared with every other system of a run but itself in another
// form.
const besideSystem = "duelog"

// besideMetrics are what systems are compared by; a sign says whether more is better.
var besideMetrics = []struct {
	workload string
	column
	sign int
}{
	{"send", column{"send_per_s", "sent/s"}, 1},
	{"send", column{"cpu_us_per_msg", "CPU us"}, -1},
	{"fire", column{"drain_per_s", "drained/s"}, 1},
	{"fire", column{"lateness_p50_ms", "late p50 ms"}, -1},
	{"fire", column{"lateness_p99_ms", "late p99 ms"}, -1},
	{"fire", column{"cpu_us_per_msg", "CPU us"}, -1},
	{"lateness", column{"lateness_p50_ms", "late p50 ms"}, -1},
	{"lateness", column{"lateness_p99_ms", "late p99 ms"}, -1},
	{"footprint", column{"bytes_per_pending", "B/pending"}, -1},
	{"recover", column{"restart_ms", "first ack ms"}, -1},
}

// besideSection says for each workload how duelog stands beside the best other system
// that acknowledged in the same mode: times better, below 1 worse.
func besideSection(groups [][]*bench.Result) section {
	s := section{head: []string{besideSystem + " beside the best other", "figure", besideSystem, "best other", "which", "times better"}}
	for _, own := range groups {
		if own[0].System != besideSystem {
			continue
		}
		for _, m := range besideMetrics {
			if row, ok := beside(own, groups, m.workload, m.column, m.sign); ok {
				s.rows = append(s.rows, row)
			}
		}
	}
	return s
}

func beside(own []*bench.Result, groups [][]*bench.Result, workload string, c column, sign int) (row []string, ok bool) {
	mine, ok := bench.Median(own, c.metric)
	if !ok || own[0].Workload != workload {
		return nil, false
	}
	var best []*bench.Result
	var most float64
	for _, g := range groups {
		v, ok := bench.Median(g, c.metric)
		if ok && rival(own[0], g[0]) && (best == nil || float64(sign)*(v-most) > 0) {
			best, most = g, v
		}
	}
	if best == nil || mine <= 0 || most <= 0 {
		return nil, false
	}
	ratio := mine / most
	if sign < 0 {
		ratio = 1 / ratio
	}
	return []string{title(own[0]), c.head, format(c.metric, mine), format(c.metric, most), best[0].System, format("ratio", ratio)}, true
}

// rival reports whether b ran the workload of a, alike, on another system.
func rival(a, b *bench.Result) bool {
	return !slices.Contains([]string{besideSystem, "duelog-async", "embedded", "embedded-async", bench.SystemLimit}, b.System) &&
		a.Workload == b.Workload && title(a) == title(b) && a.Params["mode"] == b.Params["mode"]
}
