package consumequeue

import (
	"encoding/binary"
	"hash/crc32"
	"math"
)

// EntrySize is the size of an entry on disk. It is part of the file format; do
// not change it.
const EntrySize = 32

// Flags of an entry. The other bits are reserved and zero.
const (
	// FlagScheduled marks a message that waited in the delay index.
	FlagScheduled uint16 = 1
	// FlagVoid marks a slot that will never hold a message.
	FlagVoid uint16 = 2

	knownFlags = FlagScheduled | FlagVoid
)

// Entry is what a slot holds: where the record is and what a consumer filters by.
type Entry struct {
	Loc       uint64 // location in the commit log; opaque here
	Size      uint32 // of the record, in bytes
	Flags     uint16 // FlagScheduled, FlagVoid
	Tag       uint32 // hash of the message's tag, 0 = none
	DeliverMs int64  // when it became due, ms since 1970
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// AppendEntry appends the 32 bytes of e as the entry of slot.
func AppendEntry(dst []byte, slot int64, e *Entry) []byte {
	le := binary.LittleEndian
	start := len(dst)
	dst = le.AppendUint64(dst, e.Loc)
	dst = le.AppendUint32(dst, e.Size)
	dst = le.AppendUint16(dst, e.Flags&knownFlags)
	dst = le.AppendUint16(dst, 0)
	dst = le.AppendUint64(dst, uint64(e.Tag))
	dst = le.AppendUint64(dst, uint64(e.DeliverMs))
	b := dst[start:]
	le.PutUint16(b[14:], checksum(b, slot))
	return dst
}

// DecodeEntry decodes the entry of slot from the first 32 bytes of b. Its
// errors are ErrTruncated, ErrChecksum and ErrVersion.
func DecodeEntry(b []byte, slot int64) (Entry, error) {
	if len(b) < EntrySize {
		return Entry{}, ErrTruncated
	}
	le := binary.LittleEndian
	if le.Uint16(b[14:]) != checksum(b, slot) {
		return Entry{}, ErrChecksum
	}
	flags, tag, ms := le.Uint16(b[12:]), le.Uint64(b[16:]), le.Uint64(b[24:])
	if flags&^knownFlags != 0 || tag > math.MaxUint32 {
		return Entry{}, ErrVersion
	}
	return Entry{
		Loc:       le.Uint64(b),
		Size:      le.Uint32(b[8:]),
		Flags:     flags,
		Tag:       uint32(tag),
		DeliverMs: int64(ms),
	}, nil
}

// checksum covers all of b[:32] but the checksum itself. It is never 0, so a
// hole of zeroes is never an entry.
func checksum(b []byte, slot int64) uint16 {
	crc := uint32(slot) ^ uint32(slot>>32)*0x9e3779b1
	crc = crc32.Update(crc, castagnoli, b[:14])
	crc = crc32.Update(crc, castagnoli, b[16:EntrySize])
	sum := uint16(crc>>16) ^ uint16(crc)
	if sum == 0 {
		sum = 0xffff
	}
	return sum
}
