package commitlog

import (
	"errors"
	"fmt"
)

// What a caller may have to act upon.
var (
	// ErrClosed: the log was closed.
	ErrClosed = errors.New("commit log is closed")
	// ErrReadOnly: a write or sync failed, so what the disk holds is unknown. Reads
	// go on; appending needs the log to be opened again, which checks the disk.
	ErrReadOnly = errors.New("commit log is read-only after a failed write; reopen it")
	// ErrDiskFull: no space for the next segment. Append again later; it is retried
	// at most once a second.
	ErrDiskFull = errors.New("disk full: no space for the next commit log segment")
	// ErrBusy: the log did not write as fast as records came. Append again later.
	ErrBusy = errors.New("commit log is busy: too many records wait to be written")
	// ErrTooLarge: the record cannot fit into a frame or a segment.
	ErrTooLarge = errors.New("record too large for the commit log")
	// ErrWhen: a record's When does not fit into 48 bits.
	ErrWhen = errors.New("record time outside the 48-bit range")
	// ErrNotFound: the segment was removed.
	ErrNotFound = errors.New("commit log segment not found")
	// ErrRange: the location is outside the log, or crosses the end of a segment.
	ErrRange = errors.New("location outside the commit log")
	// ErrInUse: the segment is being written and cannot be removed.
	ErrInUse = errors.New("commit log segment is still being written")
)

// Why bytes are not a valid frame.
var (
	// ErrMagic: no frame starts here.
	ErrMagic = errors.New("no frame magic")
	// ErrVersion: an intact frame of a newer format. Use a newer program.
	ErrVersion = errors.New("frame of a newer format version")
	// ErrPlace: a frame that was written for another position or lane, such as one
	// from the former life of a recycled file.
	ErrPlace = errors.New("frame of another position")
	// ErrTruncated: the frame claims more bytes than there can be, or its file was cut.
	ErrTruncated = errors.New("the bytes end before the frame does")
	// ErrChecksum: the bytes are not those that were written.
	ErrChecksum = errors.New("frame checksum mismatch")
	// ErrStale: an intact frame whose store time is before its predecessor's, left
	// by an earlier incarnation of the tail.
	ErrStale = errors.New("frame older than its predecessor")
	// ErrRecord: a record header does not fit into its frame.
	ErrRecord = errors.New("malformed record header")
)

// CorruptionError says where bad bytes are. Err is one of the frame errors above.
type CorruptionError struct {
	Path   string // the segment file
	Offset int64  // position within that file
	Err    error
}

// Error is "corrupt PATH at OFFSET: reason".
func (e *CorruptionError) Error() string {
	return fmt.Sprintf("corrupt %s at %d: %v", e.Path, e.Offset, e.Err)
}

// Unwrap gives the reason.
func (e *CorruptionError) Unwrap() error { return e.Err }
