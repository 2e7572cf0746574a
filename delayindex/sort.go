package delayindex

import (
	"cmp"
	"math/bits"
	"runtime"
	"slices"
	"sync"
)

const (
	// radixBits is the widest digit of the radix sort: 2048 counters are 8 KiB,
	// and as many open cache lines stay within the second-level cache.
	radixBits = 11
	// fewKeys is where clearing counters begins to cost more than comparing.
	fewKeys = 256
	// fewEntries is where sorting keys begins to pay.
	fewEntries = 64
	// yieldEvery is how many entries a long loop handles before it lets other
	// goroutines run: about 0.2 ms.
	yieldEvery = 64 << 10
)

// Sort sorts es by fire time and keeps the order of equal times, so that
// entries in Loc order end up in (fire time, Loc) order. scratch holds
// intermediate results and should be as long as es; a shorter one is replaced.
//
// It sorts 8-byte keys and moves each entry twice, whatever the range of times.
func Sort(es, scratch []Entry) {
	lo, hi, sorted := fireBounds(es)
	if sorted {
		return
	}
	p := packFor(lo, hi, len(es))
	if len(es) < fewEntries || !p.packed() {
		slices.SortStableFunc(es, byFire)
		return
	}
	if len(scratch) < len(es) {
		scratch = make([]Entry, len(es))
	}
	sortThrough(es, scratch[:len(es)], p)
}

// sortThrough sorts keys for es, then gathers the entries in their order.
func sortThrough(es, scratch []Entry, p packing) {
	buf := keyBuffers.Get().(*[]uint64)
	defer keyBuffers.Put(buf)
	*buf = slices.Grow((*buf)[:0], 2*len(es))[:2*len(es)]
	keys, spare := (*buf)[:len(es)], (*buf)[len(es):]
	for i := range es {
		keys[i] = p.key(es[i].fire(), i)
	}
	for i, k := range sortKeys(keys, spare, p.posBits) {
		scratch[i] = es[p.pos(k)]
	}
	copy(es, scratch)
}

var keyBuffers = sync.Pool{New: func() any { return new([]uint64) }}

func byFire(a, b Entry) int { return cmp.Compare(a.fire(), b.fire()) }

// fireBounds returns the earliest and latest fire time in es, and whether es is
// in order already, as it is when all delays are equal.
func fireBounds(es []Entry) (lo, hi uint64, sorted bool) {
	if len(es) == 0 {
		return 0, 0, true
	}
	lo, hi, sorted = es[0].fire(), es[0].fire(), true
	for i := 1; i < len(es); i++ {
		f := es[i].fire()
		sorted = sorted && f >= hi
		lo, hi = min(lo, f), max(hi, f)
	}
	return lo, hi, sorted
}

// packing puts a fire time (relative to base) and the position of its entry
// into one uint64 that sorts by both: a year of milliseconds and two million
// positions need 56 bits.
type packing struct {
	base    uint64
	posBits uint
}

// unpacked is posBits of a packing without room for times: keys are positions.
const unpacked = 64

// packFor returns the packing for n positions and fire times in [lo, hi].
func packFor(lo, hi uint64, n int) packing {
	p := packing{base: lo, posBits: uint(bits.Len(uint(max(n-1, 0))))}
	if p.posBits+uint(bits.Len64(hi-lo)) > 64 {
		p.posBits = unpacked
	}
	return p
}

func (p packing) packed() bool { return p.posBits != unpacked }

// key relies on shifts by 64 giving zero.
func (p packing) key(fire uint64, pos int) uint64 {
	return (fire-p.base)<<p.posBits | uint64(pos)
}

func (p packing) pos(key uint64) int { return int(key & (1<<p.posBits - 1)) }

// sortKeys sorts packed keys, whose bits below lowBit ascend already, by the
// bits from there on: least significant digit first. The result is in keys or
// in scratch (of the same length) and returned.
func sortKeys(keys, scratch []uint64, lowBit uint) []uint64 {
	if len(keys) < fewKeys {
		slices.Sort(keys)
		return keys
	}
	var differ uint64
	for _, k := range keys {
		differ |= k ^ keys[0]
	}
	width := digitWidth(bits.Len64(differ >> lowBit))
	for shift := lowBit; differ>>shift != 0; shift += width {
		if differ>>shift&(1<<width-1) == 0 {
			continue
		}
		sortDigit(scratch, keys, shift, width)
		keys, scratch = scratch, keys
	}
	return keys
}

// digitWidth spreads n bits evenly over as few digits as possible.
func digitWidth(n int) uint {
	passes := max((n+radixBits-1)/radixBits, 1)
	return uint(max((n+passes-1)/passes, 1))
}

// sortDigit copies src to dst in the order of one digit, stably.
func sortDigit(dst, src []uint64, shift, width uint) {
	var next [1 << radixBits]uint32
	mask := uint64(1)<<width - 1
	for _, k := range src {
		next[k>>shift&mask%(1<<radixBits)]++
	}
	var sum uint32
	for i, n := range next {
		next[i] = sum
		sum += n
	}
	for part := range slices.Chunk(src, yieldEvery) {
		for _, k := range part {
			at := &next[k>>shift&mask%(1<<radixBits)]
			dst[*at] = k
			*at++
		}
		runtime.Gosched()
	}
}
