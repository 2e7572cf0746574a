package delayindex

import (
	"encoding/binary"

	"github.com/duelog/duelog/internal/runfile"
)

// Part of the file format, see the package comment; do not change.
const (
	headerMagic = "DuelRun\n"
	footerMagic = "DuelEnd\n"
	runVersion  = 2

	headerSize     = 64
	footerSize     = 64
	hourMs         = 3600 * 1000
	headerCRCAt    = 12
	footerCRCAt    = 52
	footerCRCEnd   = footerCRCAt + 4
	runSuffix      = ".run"
	maxRunEntries  = 1<<32 - 1 // an hour refers to its first entry by u32
	maxRunHours    = MaxFireMs/hourMs + 1
	minRunFileSize = headerSize + footerSize
)

// fenceSize is that of an entry of the block table; version 1 had blocks of one size.
func fenceSize(version uint16) int64 {
	if version == 1 {
		return 12
	}
	return 16
}

// RunInfo is what the owner of an index registers about a run.
type RunInfo struct {
	Start, End int64 // lane bytes [Start, End) whose entries it holds
	Count      int64 // entries
	MinFireMs  int64 // of the first entry
	MaxFireMs  int64 // of the last entry
	// CutMs hides the entries that fire at that time or later: they live elsewhere
	// now. 0 hides none. It is the owner's; the file knows nothing of it.
	CutMs int64
}

// LastFireMs is not before the fire time of any entry that is not hidden.
func (ri *RunInfo) LastFireMs() int64 {
	if ri.CutMs == 0 {
		return ri.MaxFireMs
	}
	return min(ri.MaxFireMs, ri.CutMs-1)
}

// RunName is the file name of a run in the directory of its index; names sort in
// lane order.
func RunName(r RunInfo) string { return runfile.Name(r.Start, r.End, runSuffix) }

// header is the first part of a run file.
type header struct {
	RunInfo
	version   uint16
	lane      uint8
	createdMs int64
}

func (h *header) encode() []byte {
	b := make([]byte, headerSize)
	copy(b, headerMagic)
	binary.LittleEndian.PutUint16(b[8:], runVersion)
	b[10] = h.lane
	binary.LittleEndian.PutUint64(b[16:], uint64(h.Start))
	binary.LittleEndian.PutUint64(b[24:], uint64(h.End))
	binary.LittleEndian.PutUint64(b[32:], uint64(h.Count))
	binary.LittleEndian.PutUint64(b[40:], uint64(h.MinFireMs))
	binary.LittleEndian.PutUint64(b[48:], uint64(h.MaxFireMs))
	binary.LittleEndian.PutUint64(b[56:], uint64(h.createdMs))
	binary.LittleEndian.PutUint32(b[headerCRCAt:], runfile.ChecksumExcept(b, headerCRCAt))
	return b
}

// decode fills h from the headerSize bytes of b, whose magic was checked before.
func (h *header) decode(b []byte) error {
	if binary.LittleEndian.Uint32(b[headerCRCAt:]) != runfile.ChecksumExcept(b, headerCRCAt) {
		return ErrChecksum
	}
	h.version = binary.LittleEndian.Uint16(b[8:])
	h.lane = b[10]
	h.Start = int64(binary.LittleEndian.Uint64(b[16:]))
	h.End = int64(binary.LittleEndian.Uint64(b[24:]))
	h.Count = int64(binary.LittleEndian.Uint64(b[32:]))
	h.MinFireMs = int64(binary.LittleEndian.Uint64(b[40:]))
	h.MaxFireMs = int64(binary.LittleEndian.Uint64(b[48:]))
	h.createdMs = int64(binary.LittleEndian.Uint64(b[56:]))
	return nil
}

// footer is the last part of a run file. It says where the directories are.
type footer struct {
	fencesAt, hoursAt, fileSize int64
	fences, hours               uint32
	directoryCRC                uint32
}

// newFooter describes a run of count entries that end at fencesAt, with so many hours
// in so many bytes.
func newFooter(version uint16, count, fencesAt int64, hours uint32, hourBytes int64) footer {
	blocks := blocksFor(count)
	f := footer{fencesAt: fencesAt, fences: uint32(blocks), hours: hours}
	f.hoursAt = f.fencesAt + blocks*fenceSize(version)
	f.fileSize = f.hoursAt + hourBytes + footerSize
	return f
}

// hourBytes is how much the hours take. Of version 1 it follows from their number; in
// version 2, an hour takes at least two bytes.
func (f *footer) hourBytes(version uint16) (n int64, ok bool) {
	if version == 1 {
		return int64(f.hours) * 8, true
	}
	n = f.fileSize - footerSize - f.hoursAt
	return n, n >= 2*int64(f.hours)
}

func blocksFor(count int64) int64 { return (count + blockEntries - 1) / blockEntries }

// mostBytes is how much a run of count entries takes at most, but for its hours.
func mostBytes(count int64) int64 {
	return newFooter(runVersion, count, headerSize+blocksFor(count)*blockHeaderSize+count*maxRowSize, 0, 0).fileSize
}

// leastBytes is how much it takes at least.
func leastBytes(version uint16, count int64) int64 {
	if version == 1 {
		return newFooter(1, count, headerSize+count*EntrySize, 1, 8).fileSize
	}
	return newFooter(version, count, headerSize+blocksFor(count)*blockHeaderSize, 1, 2).fileSize
}

func (f *footer) encode() []byte {
	b := make([]byte, footerSize)
	binary.LittleEndian.PutUint64(b[0:], uint64(f.fencesAt))
	binary.LittleEndian.PutUint64(b[8:], uint64(f.hoursAt))
	binary.LittleEndian.PutUint64(b[16:], uint64(f.fileSize))
	binary.LittleEndian.PutUint32(b[24:], f.fences)
	binary.LittleEndian.PutUint32(b[28:], f.hours)
	binary.LittleEndian.PutUint32(b[32:], f.directoryCRC)
	copy(b[footerCRCEnd:], footerMagic)
	binary.LittleEndian.PutUint32(b[footerCRCAt:], runfile.ChecksumExcept(b, footerCRCAt))
	return b
}

// decode fills f from the footerSize bytes of b.
func (f *footer) decode(b []byte) error {
	if string(b[footerCRCEnd:footerSize]) != footerMagic {
		return ErrMagic
	}
	if binary.LittleEndian.Uint32(b[footerCRCAt:]) != runfile.ChecksumExcept(b, footerCRCAt) {
		return ErrChecksum
	}
	f.fencesAt = int64(binary.LittleEndian.Uint64(b[0:]))
	f.hoursAt = int64(binary.LittleEndian.Uint64(b[8:]))
	f.fileSize = int64(binary.LittleEndian.Uint64(b[16:]))
	f.fences = binary.LittleEndian.Uint32(b[24:])
	f.hours = binary.LittleEndian.Uint32(b[28:])
	f.directoryCRC = binary.LittleEndian.Uint32(b[32:])
	return nil
}
