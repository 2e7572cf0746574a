package commitlog

import "fmt"

const (
	laneShift  = 56
	offsetMask = 1<<laneShift - 1
)

// Loc is the address of a byte in a lane: lane (8 bit) << 56 | offset (56 bit). It
// is what every index stores. In lane 0 it equals the plain offset.
type Loc uint64

// MakeLoc builds the Loc of a lane's offset, of which the low 56 bits count.
func MakeLoc(lane uint8, off int64) Loc {
	return Loc(uint64(lane)<<laneShift | uint64(off)&offsetMask)
}

// Lane is the lane the location points into.
func (l Loc) Lane() uint8 { return uint8(l >> laneShift) }

// Offset is the byte offset within the lane.
func (l Loc) Offset() int64 { return int64(l & offsetMask) }

// String is lane:offset, for messages.
func (l Loc) String() string { return fmt.Sprintf("%d:%d", l.Lane(), l.Offset()) }
