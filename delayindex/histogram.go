package delayindex

import "fmt"

// Histogram adds to counts how many entries fire in each of the ranges
// [fromMs+i*stepMs, fromMs+(i+1)*stepMs), leaving out those that fire before
// sinceMs. It is exact. It looks once at each memtable chunk in the range, and
// reads at most one block of a run (64 KiB at most) per bound between two ranges that
// both have entries of it; it holds one block.
func (s *Snapshot) Histogram(fromMs, stepMs, sinceMs int64, counts []int64) error {
	if stepMs < 1 || fromMs < 0 {
		return fmt.Errorf("histogram from %d in steps of %d ms: neither may be negative, nor the step 0", fromMs, stepMs)
	}
	h := histogram{from: uint64(fromMs), step: uint64(stepMs), counts: counts}
	h.lo, h.hi = clampRange(max(fromMs, sinceMs), MaxFireMs+1)
	if n := uint64(len(counts)); n <= (h.hi-min(h.from, h.hi))/h.step { // the product cannot overflow
		h.hi = min(h.hi, h.from+n*h.step)
	}
	if h.lo >= h.hi {
		return nil
	}
	for i := range s.views {
		h.addView(&s.views[i])
	}
	for _, r := range s.runs {
		if err := h.addRun(r); err != nil {
			return err
		}
	}
	return nil
}

// histogram counts what fires in [lo, hi), which its counts cover.
type histogram struct {
	from, step uint64
	lo, hi     uint64
	counts     []int64
}

func (h *histogram) bucket(fire uint64) int { return int((fire - h.from) / h.step) }

func (h *histogram) addView(v *memView) {
	for i := range v.chunks {
		es, c := v.chunk(i)
		switch {
		case !c.overlaps(h.lo, h.hi):
		case c.within(h.lo, h.hi) && h.bucket(c.lo) == h.bucket(c.hi):
			h.counts[h.bucket(c.lo)] += int64(len(es))
		default:
			h.addEntries(es)
		}
	}
}

func (h *histogram) addEntries(es []Entry) {
	for i := range es {
		if fire := es[i].fire(); fire-h.lo < h.hi-h.lo { // unsigned: also false below lo
			h.counts[h.bucket(fire)]++
		}
	}
}

// addRun finds where each range begins among the sorted entries of the run.
func (h *histogram) addRun(r *run) error {
	if !r.overlaps(h.lo, h.hi) {
		return nil
	}
	first := max(h.lo, uint64(r.info.MinFireMs))
	last := min(h.hi-1, uint64(r.info.LastFireMs()))
	begin, err := r.indexOf(first)
	if err != nil {
		return err
	}
	for b := h.bucket(first); b <= h.bucket(last); b++ {
		end, err := r.indexOf(min(h.from+uint64(b+1)*h.step, last+1))
		if err != nil {
			return err
		}
		h.counts[b] += end - begin
		begin = end
	}
	return nil
}
