package consumequeue

import (
	"errors"
	"fmt"
)

var (
	// ErrClosed is returned after Set.Close, and by a queue after its Delete.
	ErrClosed = errors.New("consume queue is closed")
	// ErrTrimmed is returned for a slot below Queue.Min. Reading can go on from there.
	ErrTrimmed = errors.New("slot is below the start of the queue")
	// ErrTopic is returned for a topic that cannot be the name of a directory.
	ErrTopic = errors.New("topic cannot be a file name")
	// ErrOpen is returned when a queue is opened a second time.
	ErrOpen = errors.New("consume queue is already open")
	// ErrRange is returned when a slot or a range of slots makes no sense.
	ErrRange = errors.New("slot out of range")
	// ErrTaken is returned when a slot is restored with two different entries.
	ErrTaken = errors.New("slot already holds another entry")

	// ErrMagic says that the bytes are not of the expected kind.
	ErrMagic = errors.New("bad magic")
	// ErrVersion says that a newer version of this program wrote the bytes.
	ErrVersion = errors.New("written by a newer version; open it with that version")
	// ErrChecksum says that the bytes are not those that were written.
	ErrChecksum = errors.New("checksum mismatch")
	// ErrTruncated says that a file ends before the bytes it must hold.
	ErrTruncated = errors.New("file is too short")
)

// CorruptionError says where bytes on disk are not what they must be. Err is
// one of ErrMagic, ErrChecksum and ErrTruncated, or fs.ErrNotExist when the
// whole file is missing.
type CorruptionError struct {
	Path   string
	Offset int64 // of the bad bytes in the file
	Err    error
}

// Error names the file, the position and the reason.
func (e *CorruptionError) Error() string {
	return fmt.Sprintf("consume queue file %s is damaged at offset %d: %v", e.Path, e.Offset, e.Err)
}

// Unwrap returns the reason.
func (e *CorruptionError) Unwrap() error { return e.Err }
