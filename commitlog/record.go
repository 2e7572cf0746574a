package commitlog

import (
	"encoding/binary"
	"iter"
)

// RecordHeaderSize is the length of the header before each payload. Part of the
// file format; do not change.
const RecordHeaderSize = 24

// maxWhen is the largest When that the 48 bits of the header hold.
const maxWhen = 1<<48 - 1

// Flags of a record. Part of the file format; do not change.
const (
	// FlagScheduled: When is the fire time in ms, not a queue slot.
	FlagScheduled uint16 = 1
	// FlagTombstone is reserved for cancelling an earlier record.
	FlagTombstone uint16 = 2
)

// Record is one entry to append. The log stores the fields unread, except that
// FlagScheduled decides which maximum of SegmentInfo counts it.
type Record struct {
	When    int64 // scheduled: fire time in ms; else a queue slot, set by Hooks.Assign
	Flags   uint16
	Queue   uint32
	Tag     uint32
	Key     uint32
	Payload []byte // copied by Append
	// Keys are hashes for the owner's indexes. They are not stored: they come back in
	// the Item that Hooks.Committed is given. Copied by Append.
	Keys []uint64
}

// Item is a record in its frame, without the payload.
type Item struct {
	Loc    Loc // of the payload; the record header is the 24 bytes before it
	When   int64
	Flags  uint16
	Size   int32 // of the payload
	Queue  uint32
	Tag    uint32
	Key    uint32
	Done   Completer // append path only
	Cookie uint64    // append path only
	Keys   []uint64  // append path only; valid during the hook
}

// Scheduled tells whether When is a fire time.
func (it *Item) Scheduled() bool { return it.Flags&FlagScheduled != 0 }

func packWhen(when int64, flags uint16) uint64 { return uint64(when)<<16 | uint64(flags) }

// AppendRecord appends header and payload as they stand in a frame.
func AppendRecord(dst []byte, r *Record) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint32(dst, uint32(len(r.Payload)))
	dst = le.AppendUint32(dst, r.Queue)
	dst = le.AppendUint32(dst, r.Tag)
	dst = le.AppendUint32(dst, r.Key)
	dst = le.AppendUint64(dst, packWhen(r.When, r.Flags))
	return append(dst, r.Payload...)
}

// ParseRecordHeader decodes the RecordHeaderSize bytes before a payload. Loc is
// left zero. It checks nothing but the lengths, since the checksum is the frame's.
func ParseRecordHeader(b []byte) (Item, error) {
	if len(b) < RecordHeaderSize {
		return Item{}, ErrRecord
	}
	le := binary.LittleEndian
	size, when := le.Uint32(b), le.Uint64(b[16:])
	if size > MaxFrameBytes {
		return Item{}, ErrRecord
	}
	return Item{
		Size:  int32(size),
		Queue: le.Uint32(b[4:]),
		Tag:   le.Uint32(b[8:]),
		Key:   le.Uint32(b[12:]),
		When:  int64(when >> 16),
		Flags: uint16(when),
	}, nil
}

// Items yields the records of the frame with their payloads, which alias
// Frame.Payload. A raw frame (AppendFrame) has none. Iteration ends at the first
// record that does not fit into the frame.
func (f Frame) Items() iter.Seq2[Item, []byte] {
	return func(yield func(Item, []byte) bool) {
		if f.raw {
			return
		}
		rest, loc := f.Payload, f.Loc+FrameHeaderSize+RecordHeaderSize
		for range f.Records {
			it, err := ParseRecordHeader(rest)
			if err != nil || int(it.Size) > len(rest)-RecordHeaderSize {
				return
			}
			it.Loc = loc
			end := RecordHeaderSize + int(it.Size)
			if !yield(it, rest[RecordHeaderSize:end:end]) {
				return
			}
			rest, loc = rest[end:], loc+Loc(end)
		}
	}
}
