package store

import (
	"cmp"
	"math"
	"slices"

	"github.com/duelog/duelog/keyindex"
)

// keysState is what the catalog knows of the key index of a lane: its runs, and
// the lane offset up to which they have the keys of all messages. A lane that has
// none, because it is switched off or the store is older than it, has no state.
type keysState struct {
	runs []keyindex.RunInfo // in Start order
	upTo int64              // -1 = not registered
}

func (st *catalogState) laneKeys(lane uint8) *keysState {
	if st.keys[lane] == nil {
		st.keys[lane] = &keysState{upTo: -1}
	}
	return st.keys[lane]
}

// putKeyRun registers a run in place of one of the same range: see putRun.
func (st *catalogState) putKeyRun(lane uint8, r keyindex.RunInfo) {
	k := st.laneKeys(lane)
	k.runs = append(slices.DeleteFunc(k.runs, func(o keyindex.RunInfo) bool { return o.Start == r.Start && o.End == r.End }), r)
	slices.SortFunc(k.runs, func(a, b keyindex.RunInfo) int { return cmp.Compare(a.Start, b.Start) })
}

func (st *catalogState) dropKeyRun(lane uint8, start, end int64) {
	k := st.laneKeys(lane)
	k.runs = slices.DeleteFunc(k.runs, func(r keyindex.RunInfo) bool { return r.Start == start && r.End == end })
	if len(k.runs) == 0 {
		k.runs = nil
		st.setKeysUpTo(lane, k.upTo)
	}
}

// setKeysUpTo forgets all of the lane's key index when upTo is negative.
func (st *catalogState) setKeysUpTo(lane uint8, upTo int64) {
	if upTo < 0 {
		delete(st.keys, lane)
		return
	}
	st.laneKeys(lane).upTo = upTo
}

// keysUpTo returns the lane offset up to which nothing depends on the messages for
// the key index.
func (st *catalogState) keysUpTo(l *lane) int64 {
	if l.keys == nil {
		return math.MaxInt64
	}
	if k := st.keys[l.id]; k != nil {
		return k.upTo
	}
	return 0
}

func (k *keysState) snapshot(e *edit, lane uint8, next func()) {
	for _, r := range k.runs {
		e.keyRun(lane, r)
		next()
	}
	if k.upTo >= 0 {
		e.keysUpTo(lane, k.upTo)
	}
}
