package store

import (
	"slices"

	"github.com/duelog/duelog/commitlog"
)

// firedSet is the messages that fired behind the replay point: all that recovery
// holds of a firing, 8 bytes of it. Nothing is added to it once it is sorted.
type firedSet []commitlog.Loc

// newFiredSet has room for n messages, and no more.
func newFiredSet(n int) firedSet { return make(firedSet, 0, n) }

// minFiringSize is the fewest bytes that a firing takes in the journal.
const minFiringSize = 1 + 1 + 1 + 1 + 1 + 4

// firingsIn is how many firings a journal frame may have, which is bounded by its length
// whatever its header says.
func firingsIn(f *commitlog.Frame) int { return min(f.Records, len(f.Payload)/minFiringSize) }

func (s firedSet) sort() { slices.Sort(s) }

func (s firedSet) has(loc commitlog.Loc) bool {
	_, found := slices.BinarySearch(s, loc)
	return found
}
