package keyindex

import "math/bits"

const (
	// fanIn is how many runs of one size class become one run. A lane has less than
	// fanIn runs per power of fanIn, and an entry is written once for each.
	fanIn = 16
	// maxMerged bounds the entries of a merged run (2 GiB), and with it the work and
	// the disk space of one merge.
	maxMerged = 128 << 20
)

// MergePlan returns the oldest neighbouring runs that should become one, small
// classes first; nil when there is nothing to merge.
func (x *Index) MergePlan() []RunInfo { return plan(x.Runs()) }

func plan(runs []RunInfo) []RunInfo {
	for c := range class(maxMerged) + 1 {
		if old := planClass(runs, c); old != nil {
			return old
		}
	}
	return nil
}

// planClass looks for fanIn runs of class c with at most smaller ones in between,
// which are merged with them.
func planClass(runs []RunInfo, c int) []RunInfo {
	first, n, total := 0, 0, int64(0)
	for i, ri := range runs {
		switch k := class(ri.Count); {
		case k > c || k < c && n == 0:
			first, n, total = i+1, 0, 0
			continue
		case k == c:
			n++
		}
		for total += ri.Count; total > maxMerged; first++ {
			total -= runs[first].Count
			if class(runs[first].Count) == c {
				n--
			}
		}
		if n == fanIn {
			return runs[first : i+1]
		}
	}
	return nil
}

// class is the size of a run as a power of fanIn.
func class(count int64) int { return (bits.Len64(uint64(count)) - 1) / 4 }
