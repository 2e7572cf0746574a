// Package report turns the results of package bench into what people and tools
// read: a table, lines of the Go benchmark format for benchstat, one HTML page
// that needs nothing else, PNG figures, and the table of a comparison.
//
// All of it is made from a bench.File alone, so that a report can be made again
// from the JSON of an old run. Functions write to an io.Writer or return bytes,
// and keep no state.
package report

import (
	"fmt"
	"math"
	"strings"

	"github.com/duelog/duelog/bench"
)

// title names what was measured for a reader: without the params that hardly
// ever differ.
func title(r *bench.Result) string {
	var parts []string
	p := r.Params
	switch r.Workload {
	case "send":
		parts = append(parts, fmt.Sprint(p["mix"]), flow(p))
	case "fire":
		parts = append(parts, fmt.Sprintf("%s due in %v s", count(p["n"]), p["within_s"]))
	case "lateness":
		parts = append(parts, fmt.Sprintf("%v/s", p["rate"]))
	case "mixed":
		parts = append(parts, fmt.Sprintf("%v/s beside %s due in 1 s", p["rate"], count(p["hot"])))
		if p["slow_ms"] != nil && fmt.Sprint(p["slow_ms"]) != "0" {
			parts = append(parts, fmt.Sprintf("slow group %v ms", p["slow_ms"]))
		}
	case "steady":
		parts = append(parts, fmt.Sprintf("%v, %v B of JSON, %v/day", p["mix"], p["body"], p["per_day"]))
	case "index":
		parts = append(parts, fmt.Sprintf("%s entries, %v, no bodies", count(p["n"]), p["mix"]))
	case "cold":
		parts = append(parts, fmt.Sprintf("%s messages of %v B, bursts of %s", count(p["n"]), p["body"], count(p["burst"])))
	default:
		parts = append(parts, count(p["n"])+" pending")
	}
	return r.Workload + " " + strings.Join(parts, ", ")
}

// flow says how messages were sent.
func flow(p map[string]any) string {
	s := fmt.Sprintf("%vx%v", p["publishers"], p["window"])
	if fmt.Sprint(p["window"]) == "1" {
		s = fmt.Sprintf("sync x%v", p["publishers"])
	}
	if b := fmt.Sprint(p["batch"]); b != "0" && b != "1" {
		s += " batch " + b
	}
	switch p["loop"] {
	case "open":
		s += fmt.Sprintf(" at %v/s", p["rate"])
	case "closed":
		s = "closed " + s
	}
	return s
}

// count writes a number of messages the short way: 200k, 1M.
func count(v any) string {
	n, ok := number(v)
	if !ok {
		return fmt.Sprint(v)
	}
	switch {
	case n >= 1e6 && math.Mod(n, 1e5) == 0:
		return trim(n/1e6) + "M"
	case n >= 1e3 && math.Mod(n, 100) == 0:
		return trim(n/1e3) + "k"
	}
	return trim(n)
}

func trim(v float64) string { return strings.TrimSuffix(fmt.Sprintf("%.1f", v), ".0") }

// number reads a param: JSON makes float64 of every number.
func number(v any) (float64, bool) {
	switch n := v.(type) {
	case float64:
		return n, true
	case int:
		return float64(n), true
	case int64:
		return float64(n), true
	}
	return 0, false
}

// format writes a figure with as many digits as mean something, in a unit that
// suits its name.
func format(metric string, v float64) string {
	switch {
	case strings.Contains(metric, "rss"):
		return bytesOf(v)
	case metric == "limit_fraction" && v < 0.1:
		return fmt.Sprintf("%.1f%%", 100*v)
	case metric == "limit_fraction":
		return fmt.Sprintf("%.0f%%", 100*v)
	case v == 0:
		return "0"
	case math.Abs(v) >= 100:
		return grouped(int64(math.Round(v)))
	case math.Abs(v) >= 10:
		return fmt.Sprintf("%.1f", v)
	}
	return fmt.Sprintf("%.2f", v)
}
