package tools

import (
	"cmp"
	"math"
	"slices"
)

// bucket is one bound of a histogram.
type bucket struct {
	bound float64 // upper, the last is infinite
	count float64 // observations at or below it
}

func sortBuckets(list []bucket) {
	slices.SortFunc(list, func(a, b bucket) int { return cmp.Compare(a.bound, b.bound) })
}

// since is what was observed between two readings of a histogram. A counter that
// went back, because its process was restarted, counts from 0.
func since(before, now []bucket) []bucket {
	list := slices.Clone(now)
	for i := range list {
		if len(before) == len(now) && before[i].bound == now[i].bound && before[len(before)-1].count <= now[len(now)-1].count {
			list[i].count -= before[i].count
		}
	}
	return list
}

// quantile is an upper bound of the q-th quantile, as close as the buckets allow;
// ok is false when nothing was observed. It is infinite when it lies above the
// last bound.
func quantile(list []bucket, q float64) (bound float64, ok bool) {
	if len(list) == 0 || list[len(list)-1].count <= 0 {
		return 0, false
	}
	want := math.Max(q*list[len(list)-1].count, math.SmallestNonzeroFloat64)
	for _, b := range list {
		if b.count >= want {
			return b.bound, true
		}
	}
	return math.Inf(1), true
}
