package tools

import (
	"math/bits"

	"github.com/duelog/duelog/delayindex"
)

// entrySum is a sum over a set of entries, the same in any order; flags of the entries
// do not count. Two sets that differ, by whatever happens to a disk or a program, have
// the same sum about once in 2^64 times.
type entrySum struct{ n, a, b uint64 }

// The odd numbers behind the sums: digits of pi.
const (
	sumLoc  = 0x243f6a8885a308d3
	sumFire = 0x13198a2e03707345
	sumSize = 0xa4093822299f31d1
	sumTag  = 0x082efa98ec4e6c89
	sumA    = 0x452821e638d01377
	sumB    = 0xbe5466cf34e90c6d
)

// add takes one entry into the set.
func (s *entrySum) add(e *delayindex.Entry) {
	when := fold(e.Loc^sumLoc, uint64(e.FireMs())^sumFire)
	what := fold(uint64(e.Size)<<32|uint64(e.Queue)^sumSize, uint64(e.Tag)<<32|uint64(e.Key)^sumTag)
	s.n++
	s.a += fold(when^sumA, what^sumB)
	s.b += fold(when+sumB, bits.RotateLeft64(what, 32)+sumA)
}

// fold mixes two words into one: both halves of their product.
func fold(x, y uint64) uint64 {
	hi, lo := bits.Mul64(x, y)
	return hi ^ lo
}
