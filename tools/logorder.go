package tools

import (
	"cmp"
	"math/bits"
	"slices"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// logOrder brings the entries of a run, which stand in the order of firing, into the
// order of the log, and hands them out one after the other. Its memory is used again.
//
// Entries are not moved: what is sorted is a word for each, its location and its
// number, by as many passes as the tile's size needs digits. The entries that come
// next are fetched together, so that the memory works on several at a time.
type logOrder struct {
	lo, hi  uint64 // locations that are taken
	shift   int    // of locations, so that they need 32 bits
	entries []delayindex.Entry
	order   []uint64 // (location - lo) >> shift, then the number of the entry
	spare   []uint64

	next  int // in order: the first that is not in ahead
	at    int // in ahead
	ahead []delayindex.Entry
}

const (
	// orderDigit is how many bits a pass of the sort looks at: as many counters as
	// fit into the first cache.
	orderDigit = 11
	// orderAhead is how many entries are fetched at once.
	orderAhead = 256
	// minRecordShift: two records are never nearer than 2^minRecordShift bytes.
	minRecordShift = 4
)

const _ = uint(commitlog.RecordHeaderSize - 1<<minRecordShift) // does not compile if a record is smaller

// reset begins anew, for about n entries with a location in [lo, hi).
func (o *logOrder) reset(lo, hi uint64, n int64) {
	o.lo, o.hi = lo, hi
	o.shift = max(minRecordShift, bits.Len64(hi-lo)-32)
	o.entries = slices.Grow(o.entries[:0], int(n))
	o.order, o.ahead, o.next, o.at = o.order[:0], o.ahead[:0], 0, 0
}

// add takes those of es that are in the range.
func (o *logOrder) add(es []delayindex.Entry) {
	for i := range es {
		if loc := es[i].Loc; loc >= o.lo && loc < o.hi {
			o.entries = append(o.entries, es[i])
		}
	}
}

// sort ends the adding.
func (o *logOrder) sort() {
	o.order = slices.Grow(o.order[:0], len(o.entries))[:len(o.entries)]
	for i := range o.entries {
		o.order[i] = (o.entries[i].Loc-o.lo)>>o.shift<<32 | uint64(i)
	}
	o.spare = slices.Grow(o.spare[:0], len(o.order))[:len(o.order)]
	o.order, o.spare = radixSort(o.order, o.spare, 32, 32+bits.Len64((o.hi-o.lo)>>o.shift))
	for i := 1; i < len(o.order); i++ {
		if o.order[i]>>32 == o.order[i-1]>>32 { // no two records stand so near to each other
			slices.SortFunc(o.order, func(a, b uint64) int {
				return cmp.Compare(o.entries[uint32(a)].Loc, o.entries[uint32(b)].Loc)
			})
			return
		}
	}
}

// radixSort sorts a by its bits from from on, up to to, with the help of b, which is as
// long. It returns what is sorted, and the other.
func radixSort(a, b []uint64, from, to int) (sorted, other []uint64) {
	const buckets = 1 << orderDigit
	for ; from < to; from += orderDigit {
		var counts [buckets]int
		for _, x := range a {
			counts[x>>from&(buckets-1)]++
		}
		sum := 0
		for i, n := range counts {
			counts[i], sum = sum, sum+n
		}
		for _, x := range a {
			i := x >> from & (buckets - 1)
			b[counts[i]] = x
			counts[i]++
		}
		a, b = b, a
	}
	return a, b
}

// head is the next entry, nil if there is none.
func (o *logOrder) head() *delayindex.Entry {
	if o.at == len(o.ahead) && (o.next == len(o.order) || !o.fetch()) {
		return nil
	}
	return &o.ahead[o.at]
}

// pop goes on behind the head. What head returned stays valid until head is called.
func (o *logOrder) pop() { o.at++ }

// fetch brings the entries that come next.
func (o *logOrder) fetch() bool {
	n := min(orderAhead, len(o.order)-o.next)
	o.ahead, o.at = slices.Grow(o.ahead[:0], n)[:n], 0
	for i, x := range o.order[o.next:][:n] {
		o.ahead[i] = o.entries[uint32(x)]
	}
	o.next += n
	return n > 0
}
