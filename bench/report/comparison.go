package report

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"

	"github.com/duelog/duelog/bench"
)

// Comparison writes what changed, worst first, and what did not if all is set.
func Comparison(w io.Writer, c *bench.Comparison, all bool) error {
	p := &printer{w: tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)}
	deltas := slices.Clone(c.Deltas)
	slices.SortStableFunc(deltas, func(a, b bench.Delta) int { return verdictOf(&a) - verdictOf(&b) })
	p.row("", "metric", "old", "new", "worse by", "noise", "runs", "workload")
	same := 0
	for i := range deltas {
		d := &deltas[i]
		v := verdictOf(d)
		if v == 2 {
			same++
		}
		if v != 2 || all {
			p.row([]string{"WORSE", "better", "same"}[v], d.Metric, format(d.Metric, d.Old), format(d.Metric, d.New),
				fmt.Sprintf("%+.1f%%", 100*d.Change), noise(d), fmt.Sprintf("%d+%d%s", d.Runs[0], d.Runs[1], loadedMark(d)), d.Name)
		}
	}
	p.line("%d of %d figures did not change beyond the noise.", same, len(deltas))
	for _, name := range c.Broken {
		p.line("FAILED its own check: %s", name)
	}
	for _, name := range c.Missing {
		p.line("MISSING in the new file: %s", name)
	}
	return p.flush()
}

func loadedMark(d *bench.Delta) string {
	if d.Loaded {
		return "!"
	}
	return ""
}

// verdictOf orders deltas: 0 worse, 1 better, 2 the same.
func verdictOf(d *bench.Delta) int {
	switch {
	case d.Regressed():
		return 0
	case d.Improved():
		return 1
	}
	return 2
}

func noise(d *bench.Delta) string {
	if math.IsInf(d.Threshold, 1) {
		return "unknown"
	}
	return fmt.Sprintf("%.1f%%", 100*d.Threshold)
}
