package store

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/duelog/duelog/commitlog"
)

// How to tell a torn append from damage: an append begins only after the one
// before it is durable. So if a record is bad and an intact record of a later
// append stands behind it, the bad one was durable once, and the disk has
// changed it: the file cannot be trusted. If there is none, the bad record
// belongs to the last append. A power loss may keep any part of its sectors,
// so intact records of the same append may well follow the bad one; it was
// never acknowledged and goes as a whole.
//
// What this cannot tell is damage to the very last append after it was durable.

// errManifestSequence says that an intact record stands where it was not written.
var errManifestSequence = errors.New("record out of sequence")

const manifestHint = "the store's metadata is damaged: repair it into a copy, or restore the data directory from a backup or replica, before starting again"

// manifestScan is what a manifest file says.
type manifestScan struct {
	payloads [][]byte // of all complete appends; they alias the scanned bytes
	end      int64    // of the last complete append
	last     uint64   // number of the last complete append, 0 = none
}

// scanManifest reads the content b of the manifest at path. With an error it returns
// what stands before the damage.
func scanManifest(path string, b []byte) (manifestScan, error) {
	scan := manifestScan{}
	damage := func(off int64, err error) error {
		return &commitlog.CorruptionError{Path: path, Offset: off, Err: fmt.Errorf("%w (%s)", err, manifestHint)}
	}
	switch err := checkManifestHeader(b); {
	case errors.Is(err, commitlog.ErrVersion):
		return scan, fmt.Errorf("open manifest %s: %w", path, err)
	case err != nil:
		return scan, damage(0, err)
	}
	durable := uint64(binary.LittleEndian.Uint32(b[8:]))
	scan.end = manifestHeaderSize
	for scan.end < int64(len(b)) {
		batch, n, err := decodeManifestBatch(b[scan.end:], scan.last+1)
		switch {
		case errors.Is(err, errManifestSequence), err != nil && (scan.last < durable || hasLaterAppend(b[scan.end+n:], scan.last+1)):
			return scan, damage(scan.end+n, err)
		case err != nil: // torn
			return scan, nil
		}
		scan.payloads = append(scan.payloads, batch...)
		scan.end += n
		scan.last++
	}
	if scan.last < durable {
		return scan, damage(scan.end, commitlog.ErrTruncated)
	}
	return scan, nil
}

// checkManifestHeader looks at the checksum before the version, so that only a
// program can have written a version that we call newer.
func checkManifestHeader(b []byte) error {
	le := binary.LittleEndian
	switch {
	case len(b) < manifestHeaderSize:
		return commitlog.ErrTruncated
	case le.Uint32(b) != manifestMagic:
		return commitlog.ErrMagic
	case le.Uint32(b[12:]) != crc32.Checksum(b[:12], castagnoli):
		return commitlog.ErrChecksum
	case le.Uint32(b[4:]) != manifestVersion:
		return commitlog.ErrVersion
	}
	return nil
}

// decodeManifestBatch decodes all records of append number number from the
// start of b. n is their length, with an error that of the good ones.
func decodeManifestBatch(b []byte, number uint64) (payloads [][]byte, n int64, err error) {
	for want := number << manifestSeqShift; ; want-- {
		payload, seq, err := decodeManifestRecord(b[n:])
		if err != nil {
			return nil, n, err
		}
		if n == 0 {
			want |= seq & (maxManifestBatch - 1) // the first one says how many follow
		}
		if seq != want {
			return nil, n, errManifestSequence
		}
		payloads = append(payloads, payload)
		n += manifestRecordHeader + int64(len(payload))
		if seq&(maxManifestBatch-1) == 0 {
			return payloads, n, nil
		}
	}
}

// decodeManifestRecord decodes the record at the start of b.
func decodeManifestRecord(b []byte) (payload []byte, seq uint64, err error) {
	if len(b) < manifestRecordHeader {
		return nil, 0, commitlog.ErrTruncated
	}
	le := binary.LittleEndian
	n := int64(le.Uint32(b))
	if n > maxManifestPayload || n > int64(len(b)-manifestRecordHeader) {
		return nil, 0, commitlog.ErrTruncated
	}
	record := b[:manifestRecordHeader+n]
	if le.Uint32(b[4:]) != manifestChecksum(record) {
		return nil, 0, commitlog.ErrChecksum
	}
	return record[manifestRecordHeader:], le.Uint64(b[8:]), nil
}

// hasLaterAppend reports whether b holds, at any position, an intact record of
// an append after number. Few numbers are possible in so many bytes, so next
// to no checksum is computed in vain.
func hasLaterAppend(b []byte, number uint64) bool {
	possible := uint64(len(b) / manifestRecordHeader)
	for ; len(b) >= manifestRecordHeader; b = b[1:] {
		later := binary.LittleEndian.Uint64(b[8:])>>manifestSeqShift - number
		if later == 0 || later > possible {
			continue
		}
		if _, _, err := decodeManifestRecord(b); err == nil {
			return true
		}
	}
	return false
}
