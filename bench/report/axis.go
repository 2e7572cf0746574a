package report

import (
	"fmt"
	"math"
)

// axis maps values to a position between 0 and 1.
type axis struct {
	from, to float64
	log      bool
}

// newAxis widens a range to round ends.
func newAxis(from, to float64, log bool) axis {
	if log {
		from, to = max(from, leastMs), max(to, leastMs)
		a := axis{math.Pow(10, math.Floor(math.Log10(from))), math.Pow(10, math.Ceil(math.Log10(to))), true}
		if a.from == a.to {
			a.to *= 10
		}
		return a
	}
	if to <= from {
		to = from + 1
	}
	step := roundStep((to - from) / 5)
	return axis{math.Floor(from/step) * step, math.Ceil(to/step) * step, false}
}

func (a axis) at(v float64) float64 {
	if a.log {
		v = max(v, a.from)
		return math.Log(v/a.from) / math.Log(a.to/a.from)
	}
	return (v - a.from) / (a.to - a.from)
}

// ticks are the values that get a label.
func (a axis) ticks() []float64 {
	var out []float64
	if a.log {
		for v := a.from; v <= a.to*1.0001; v *= 10 {
			out = append(out, v)
		}
		return out
	}
	step := roundStep((a.to - a.from) / 5)
	for i := 0; a.from+float64(i)*step <= a.to+step/1000; i++ {
		out = append(out, a.from+float64(i)*step)
	}
	return out
}

// roundStep returns 1, 2 or 5 times a power of ten, at least v.
func roundStep(v float64) float64 {
	p := math.Pow(10, math.Floor(math.Log10(v)))
	for _, m := range []float64{1, 2, 5} {
		if m*p >= v*0.9999 {
			return m * p
		}
	}
	return 10 * p
}

// tickLabel writes a tick in few characters.
func tickLabel(v float64) string {
	switch abs := math.Abs(v); {
	case v == 0:
		return "0"
	case abs >= 1e9:
		return fmt.Sprintf("%gG", v/1e9)
	case abs >= 1e6:
		return fmt.Sprintf("%gM", v/1e6)
	case abs >= 1e3:
		return fmt.Sprintf("%gk", v/1e3)
	}
	return fmt.Sprintf("%.3g", v)
}
