package keyindex

import (
	"math/bits"
	"runtime"
	"slices"
)

const (
	// digitBits: 2048 counters are 8 KiB, and as many open cache lines stay within
	// the second-level cache.
	digitBits = 11
	// fewEntries is where clearing counters begins to cost more than comparing.
	fewEntries = 512
	// yieldEvery is how many entries a long loop handles before it lets other
	// goroutines run: about 0.2 ms.
	yieldEvery = 64 << 10
)

// sortEntries sorts es, whose hashes agree in so many upper bits, by (hash, loc)
// and returns them, in es or in scratch, which is as long. Entries of one hash are
// expected in the order of their locs; others only take longer.
//
// Hashes are spread evenly, so a pass or two over the next 11 bits leave groups of
// an entry or a few. Hashes that somebody has chosen may leave large groups, which
// are then sorted by comparing.
func sortEntries(es, scratch []Entry, agree uint) []Entry {
	if len(es) < fewEntries {
		slices.SortFunc(es, compare)
		return es
	}
	passes := uint(1)
	if bits.Len(uint(len(es))) > digitBits+2 {
		passes = 2
	}
	shift := 64 - agree - passes*digitBits
	for p := range passes {
		sortDigit(scratch, es, shift+p*digitBits)
		es, scratch = scratch, es
	}
	sortGroups(es, shift)
	return es
}

// sortDigit copies src to dst in the order of one digit, stably.
func sortDigit(dst, src []Entry, shift uint) {
	const mask = 1<<digitBits - 1
	var next [1 << digitBits]uint32
	for i := range src {
		next[src[i].Hash>>shift&mask]++
	}
	var sum uint32
	for i, n := range next {
		next[i] = sum
		sum += n
	}
	for part := range slices.Chunk(src, yieldEvery) {
		for i := range part {
			at := &next[part[i].Hash>>shift&mask]
			dst[*at] = part[i]
			*at++
		}
		runtime.Gosched()
	}
}

// sortGroups sorts each stretch of entries whose hashes agree from bit shift on.
func sortGroups(es []Entry, shift uint) {
	for start := 0; start < len(es); {
		end := start + 1
		sorted := true
		for end < len(es) && es[end].Hash>>shift == es[start].Hash>>shift {
			sorted = sorted && !es[end].less(es[end-1])
			end++
		}
		if !sorted {
			slices.SortFunc(es[start:end], compare)
		}
		start = end
	}
}
