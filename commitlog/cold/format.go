package cold

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/internal/runfile"
)

// Part of the file format, see the package comment; do not change.
const (
	headerMagic = "DuelCold"
	footerMagic = "DuelCEnd"
	blockMagic  = 'D' | 'C'<<8 | 'B'<<16 | 1<<24
	version     = 1

	headerSize      = 64
	footerSize      = 64
	blockHeaderSize = 40
	tableEntrySize  = 24

	headerCRCAt = 12
	footerCRCAt = 52

	codecRaw  = 0
	codecZstd = 1
	codecVoid = 2 // no stored bytes, and no records

	// maxBlock is the most uncompressed bytes that a block can have.
	maxBlock = commitlog.RecordHeaderSize + commitlog.MaxFrameBytes
	// maxFile bounds a file and its stream, so that 32 bits address both.
	maxFile = math.MaxUint32
)

// blockTarget is where a block ends unless one record is longer. It is not part of the
// format: older files have blocks of 64 KiB. Together with the slack a whole block has a
// size in which memory is given out.
const blockTarget = 20<<10 - expandSlack

var le = binary.LittleEndian

const (
	nameDigits = 20
	tmpSuffix  = runfile.TmpSuffix
)

func fileName(base int64) string { return fmt.Sprintf("%0*d", nameDigits, base) }

func parseName(name string) (base int64, ok bool) {
	if len(name) != nameDigits {
		return 0, false
	}
	base, err := strconv.ParseInt(name, 10, 64)
	return base, err == nil && base >= 0
}

// header is the first part of a file.
type header struct {
	lane      uint8
	base      int64
	createdMs int64
}

func (h *header) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, headerMagic)
	le.PutUint16(b[8:], version)
	b[10] = h.lane
	le.PutUint64(b[16:], uint64(h.base))
	le.PutUint64(b[24:], uint64(h.createdMs))
	le.PutUint32(b[headerCRCAt:], runfile.ChecksumExcept(b, headerCRCAt))
	return b
}

// decodeHeader checks and decodes the headerSize bytes of b. A newer version is
// told from damage by the checksum, which every version has there.
func decodeHeader(b []byte) (h header, newer uint16, err error) {
	if string(b[:len(headerMagic)]) != headerMagic {
		return h, 0, ErrMagic
	}
	if le.Uint32(b[headerCRCAt:]) != runfile.ChecksumExcept(b, headerCRCAt) {
		return h, 0, ErrChecksum
	}
	switch v := le.Uint16(b[8:]); {
	case v > version:
		return h, v, ErrVersion
	case v < version:
		return h, 0, ErrVersion
	}
	return header{lane: b[10], base: int64(le.Uint64(b[16:])), createdMs: int64(le.Uint64(b[24:]))}, 0, nil
}

// footer is the last part of a file.
type footer struct {
	tableAt, size, records int64
	blocks                 uint32
	tableCRC               uint32
	minFireMs, maxFireMs   int64
}

func (f *footer) encode() []byte {
	b := make([]byte, footerSize)
	le.PutUint64(b[0:], uint64(f.tableAt))
	le.PutUint64(b[8:], uint64(f.size))
	le.PutUint64(b[16:], uint64(f.records))
	le.PutUint32(b[24:], f.blocks)
	le.PutUint32(b[28:], f.tableCRC)
	le.PutUint64(b[32:], uint64(f.minFireMs))
	le.PutUint64(b[40:], uint64(f.maxFireMs))
	copy(b[56:], footerMagic)
	le.PutUint32(b[footerCRCAt:], runfile.ChecksumExcept(b, footerCRCAt))
	return b
}

func decodeFooter(b []byte) (f footer, err error) {
	if string(b[56:footerSize]) != footerMagic {
		return f, ErrMagic
	}
	if le.Uint32(b[footerCRCAt:]) != runfile.ChecksumExcept(b, footerCRCAt) {
		return f, ErrChecksum
	}
	return footer{
		tableAt: int64(le.Uint64(b[0:])), size: int64(le.Uint64(b[8:])), records: int64(le.Uint64(b[16:])),
		blocks: le.Uint32(b[24:]), tableCRC: le.Uint32(b[28:]),
		minFireMs: int64(le.Uint64(b[32:])), maxFireMs: int64(le.Uint64(b[40:])),
	}, nil
}

// blockHeader stands before the stored bytes of a block.
type blockHeader struct {
	crc          uint32
	stored, size uint32
	pos          int64
	records      uint32
	codec        uint8
	lastFireMs   int64
}

// seal encodes the header into the first bytes of b, behind which the stored
// bytes stand already.
func (h *blockHeader) seal(b []byte) {
	le.PutUint32(b[0:], blockMagic)
	le.PutUint32(b[8:], h.stored)
	le.PutUint32(b[12:], h.size)
	le.PutUint64(b[16:], uint64(h.pos))
	le.PutUint32(b[24:], h.records)
	le.PutUint32(b[28:], uint32(h.codec))
	le.PutUint64(b[32:], uint64(h.lastFireMs))
	le.PutUint32(b[4:], runfile.Checksum(b[8:blockHeaderSize+int(h.stored)]))
}

// decodeBlockHeader decodes the header in front of b and checks what does not
// need the stored bytes.
func decodeBlockHeader(b []byte) (h blockHeader, err error) {
	if le.Uint32(b) != blockMagic {
		return h, ErrMagic
	}
	h = blockHeader{
		crc: le.Uint32(b[4:]), stored: le.Uint32(b[8:]), size: le.Uint32(b[12:]), pos: int64(le.Uint64(b[16:])),
		records: le.Uint32(b[24:]), codec: b[28], lastFireMs: int64(le.Uint64(b[32:])),
	}
	if h.size < commitlog.RecordHeaderSize || h.size > maxBlock || h.stored > h.size || h.pos < 0 || h.pos > maxFile-int64(h.size) {
		return h, fmt.Errorf("%w: sizes of a block", ErrLayout)
	}
	return h, nil
}

// verify checks header and stored bytes, which b consists of.
func (h *blockHeader) verify(b []byte) error {
	if len(b) != blockHeaderSize+int(h.stored) {
		return fmt.Errorf("%w: length of a block", ErrLayout)
	}
	if runfile.Checksum(b[8:]) != h.crc {
		return ErrChecksum
	}
	return nil
}
