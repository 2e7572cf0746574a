package commitlog

import (
	"encoding/binary"
	"hash/crc32"
)

// Part of the file format; do not change.
const (
	// FrameHeaderSize is the length of the header before a frame's payload.
	FrameHeaderSize = 32
	// MaxFrameBytes bounds the payload of a frame: a 16 MiB message with its
	// envelope, and a limit to what a damaged length can make a reader allocate.
	MaxFrameBytes = 20 << 20
	// maxFrameRecords is what the header's u16 can count.
	maxFrameRecords = 1<<16 - 1

	frameMagic   = 0x00464c44 // "DLF", then the version in the high byte
	frameVersion = 1

	flagSeal  = 1 // no records; the segment ends here
	flagRaw   = 2 // the payload is opaque, not a sequence of records
	flagsKnow = flagSeal | flagRaw
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Frame is one committed batch.
type Frame struct {
	Loc     Loc   // of the frame header
	StoreMs int64 // when it was written; never less than that of the frame before it
	Records int
	Payload []byte // valid during the call that hands the frame out
	End     int64  // lane offset after the frame

	raw, seal bool
}

// frameHeader is the decoded form of a frame's first 32 bytes.
type frameHeader struct {
	version uint8
	lane    uint8
	flags   uint8
	records uint16
	size    uint32 // payload bytes
	crc     uint32
	loc     Loc // where the header itself stands
	storeMs int64
}

// encode fills the header at the front of frame, checksum included; the payload
// must be in place behind it.
func (h *frameHeader) encode(frame []byte) {
	le := binary.LittleEndian
	le.PutUint32(frame, frameMagic|uint32(frameVersion)<<24)
	frame[4] = h.lane
	frame[5] = h.flags
	le.PutUint16(frame[6:], h.records)
	le.PutUint32(frame[8:], uint32(len(frame)-FrameHeaderSize))
	le.PutUint32(frame[12:], 0)
	le.PutUint64(frame[16:], uint64(h.loc))
	le.PutUint64(frame[24:], uint64(h.storeMs))
	le.PutUint32(frame[12:], crc32.Checksum(frame, castagnoli))
}

// parseFrameHeader decodes b, which holds at least FrameHeaderSize bytes.
func parseFrameHeader(b []byte) (h frameHeader, err error) {
	le := binary.LittleEndian
	magic := le.Uint32(b)
	if magic&0xffffff != frameMagic {
		return h, ErrMagic
	}
	return frameHeader{
		version: uint8(magic >> 24),
		lane:    b[4],
		flags:   b[5],
		records: le.Uint16(b[6:]),
		size:    le.Uint32(b[8:]),
		crc:     le.Uint32(b[12:]),
		loc:     Loc(le.Uint64(b[16:])),
		storeMs: int64(le.Uint64(b[24:])),
	}, nil
}

// placed checks that the header claims to stand at loc and that its frame fits
// into the room bytes from there. A header that is placed is a header that we
// wrote here; the chance of it by accident is below 2^-80.
func (h *frameHeader) placed(loc Loc, room int64) error {
	switch {
	case h.loc != loc || h.lane != loc.Lane():
		return ErrPlace
	case h.size > MaxFrameBytes || int64(h.size) > room-FrameHeaderSize:
		return ErrTruncated
	}
	return nil
}

// verify checks the checksum, and then what a newer format may have changed: the
// checksum and the header's layout stay through all versions.
func (h *frameHeader) verify(frame []byte) error {
	switch {
	case checksum(frame) != h.crc:
		return ErrChecksum
	case h.version != frameVersion || h.flags&^flagsKnow != 0:
		return ErrVersion
	}
	return nil
}

// checksum is that of the frame with zero in the checksum's place.
func checksum(frame []byte) uint32 {
	var zero [4]byte
	sum := crc32.Update(0, castagnoli, frame[:12])
	sum = crc32.Update(sum, castagnoli, zero[:])
	return crc32.Update(sum, castagnoli, frame[16:])
}

// frame is the handed-out form; b holds the header and the payload.
func (h *frameHeader) frame(b []byte) Frame {
	return Frame{
		Loc:     h.loc,
		StoreMs: h.storeMs,
		Records: int(h.records),
		Payload: b[FrameHeaderSize:len(b):len(b)],
		End:     h.loc.Offset() + int64(len(b)),
		raw:     h.flags&flagRaw != 0,
		seal:    h.flags&flagSeal != 0,
	}
}
