package keyindex

import (
	"encoding/binary"
	"fmt"

	"github.com/duelog/duelog/internal/runfile"
)

// Part of the file format, see the package comment; do not change.
const (
	headerMagic  = "DuelKey\n"
	runVersion   = 1
	headerSize   = 4096
	headerCRCAt  = 12
	blockBytes   = 4096
	blockEntries = 255
	blockNumAt   = blockEntries * EntrySize
	blockCRCAt   = blockNumAt + 4
	fenceSize    = 8
	runSuffix    = ".keys"

	maxRunEntries = 1 << 40 // far from any overflow of sizes
)

// RunInfo is what the owner of an index registers about a run.
type RunInfo struct {
	Start, End int64 // lane bytes [Start, End) whose entries it holds
	Count      int64 // entries
}

// Bytes is the size of the run's file.
func (ri RunInfo) Bytes() int64 {
	return headerSize + blocksFor(ri.Count)*(blockBytes+fenceSize)
}

func blocksFor(count int64) int64 { return (count + blockEntries - 1) / blockEntries }

// RunName is the name of the file of a run.
func RunName(ri RunInfo) string { return runfile.Name(ri.Start, ri.End, runSuffix) }

// header is the first part of a run file.
type header struct {
	RunInfo
	lane      uint8
	createdMs int64
	fencesCRC uint32
}

func (h *header) encode() []byte {
	b := make([]byte, headerSize)
	le := binary.LittleEndian
	copy(b, headerMagic)
	le.PutUint16(b[8:], runVersion)
	b[10] = h.lane
	le.PutUint64(b[16:], uint64(h.Start))
	le.PutUint64(b[24:], uint64(h.End))
	le.PutUint64(b[32:], uint64(h.Count))
	le.PutUint64(b[40:], uint64(h.createdMs))
	le.PutUint32(b[48:], uint32(blocksFor(h.Count)))
	le.PutUint32(b[52:], h.fencesCRC)
	le.PutUint32(b[headerCRCAt:], runfile.ChecksumExcept(b, headerCRCAt))
	return b
}

// decode fills h from the headerSize bytes of b, whose magic was checked before.
func (h *header) decode(b []byte) error {
	le := binary.LittleEndian
	if le.Uint32(b[headerCRCAt:]) != runfile.ChecksumExcept(b, headerCRCAt) {
		return ErrChecksum
	}
	h.lane = b[10]
	h.Start = int64(le.Uint64(b[16:]))
	h.End = int64(le.Uint64(b[24:]))
	h.Count = int64(le.Uint64(b[32:]))
	h.createdMs = int64(le.Uint64(b[40:]))
	h.fencesCRC = le.Uint32(b[52:])
	switch {
	case h.Start < 0 || h.End <= h.Start:
		return fmt.Errorf("%w: lane range is empty", ErrLayout)
	case h.Count < 1 || h.Count > maxRunEntries || int64(le.Uint32(b[48:])) != blocksFor(h.Count):
		return fmt.Errorf("%w: %d entries", ErrLayout, h.Count)
	}
	return nil
}

// sealBlock completes a block of which the entries are in place.
func sealBlock(b *[blockBytes]byte, number int64) {
	clear(b[blockNumAt:])
	binary.LittleEndian.PutUint32(b[blockNumAt:], uint32(number))
	binary.LittleEndian.PutUint32(b[blockCRCAt:], runfile.ChecksumExcept(b[:], blockCRCAt))
}

// checkBlock verifies the bytes of block number.
func checkBlock(b []byte, number int64) error {
	switch le := binary.LittleEndian; {
	case le.Uint32(b[blockCRCAt:]) != runfile.ChecksumExcept(b, blockCRCAt):
		return ErrChecksum
	case le.Uint32(b[blockNumAt:]) != uint32(number):
		return fmt.Errorf("%w: this is block %d", ErrLayout, le.Uint32(b[blockNumAt:]))
	}
	return nil
}
