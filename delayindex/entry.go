package delayindex

import "cmp"

// EntrySize is the size of an entry in memory, in bytes, and about the most that it
// takes in a file; most take half of it.
const EntrySize = 32

// MaxFireMs is the latest fire time that an entry can carry, in ms since the
// epoch (the year 10889).
const MaxFireMs = 1<<48 - 1

// FlagTombstone marks an entry that cancels another one of the same fire time
// and key. The index stores and returns it like any other.
const FlagTombstone uint16 = 1

const flagBits = 16

// Entry says when one stored message is due and where it is.
type Entry struct {
	When  uint64 // fire time in ms since the epoch <<16 | flags; see MakeWhen
	Loc   uint64 // where the record is: lane<<56 | offset in the lane
	Size  uint32 // bytes of the record
	Queue uint32 // dense id of topic and queue
	Tag   uint32 // hash of the message's tag
	Key   uint32 // hash of the message's unique key, for cancelling
}

// MakeWhen packs a fire time and flags. A time outside [0, MaxFireMs] becomes
// the nearer of the two.
func MakeWhen(fireMs int64, flags uint16) uint64 {
	return clampMs(fireMs)<<flagBits | uint64(flags)
}

// FireMs returns the fire time in ms since the epoch.
func (e Entry) FireMs() int64 { return int64(e.When >> flagBits) }

// Flags returns the flag bits.
func (e Entry) Flags() uint16 { return uint16(e.When) }

// Compare orders entries by (fire time, arrival); flags do not count.
func Compare(a, b *Entry) int {
	if c := cmp.Compare(a.When>>flagBits, b.When>>flagBits); c != 0 {
		return c
	}
	return cmp.Compare(arrival(a.Loc), arrival(b.Loc))
}

// arrival orders the locations of entries with one fire time by when they came.
// Within a lane that is the offset. Of two lanes the higher one holds the longer
// delays, so, the fire time being the same, its entry came earlier.
func arrival(loc uint64) uint64 { return loc ^ 0xff<<56 }

func (e *Entry) fire() uint64 { return e.When >> flagBits }

// clampMs brings a time into the range that entries can have.
func clampMs(ms int64) uint64 {
	return uint64(min(max(ms, 0), MaxFireMs))
}

// clampRange turns [fromMs, toMs) into the same range over fire times. It is
// empty when from >= to.
func clampRange(fromMs, toMs int64) (from, to uint64) {
	return uint64(max(fromMs, 0)), uint64(min(max(toMs, 0), MaxFireMs+1))
}
