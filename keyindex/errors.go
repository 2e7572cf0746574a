package keyindex

import (
	"errors"
	"fmt"

	"github.com/duelog/duelog/internal/runfile"
	"github.com/duelog/duelog/internal/runset"
)

// What callers branch on. ErrMagic, ErrChecksum, ErrTruncated and ErrLayout
// come inside a CorruptionError; ErrVersion inside a VersionError when the
// version is a newer one, inside a CorruptionError when there never was such.
var (
	// ErrClosed is returned by all that need an open Index.
	ErrClosed = runset.ErrClosed
	// ErrNothingFrozen is returned by Flush when there is no frozen memtable.
	ErrNothingFrozen = runset.ErrNothingFrozen
	// ErrUnknownRun is returned for a range that the index does not hold in the
	// state the call needs.
	ErrUnknownRun = runset.ErrUnknownRun
	// ErrStopped is returned by a Merge that was told to stop.
	ErrStopped = errors.New("merge stopped")

	// ErrMagic means that the bytes are not a run file at all.
	ErrMagic = runfile.ErrMagic
	// ErrVersion means that this release does not know the format version.
	ErrVersion = runfile.ErrVersion
	// ErrChecksum means that bytes changed after they were written.
	ErrChecksum = runfile.ErrChecksum
	// ErrTruncated means that the file ends too early.
	ErrTruncated = runfile.ErrTruncated
	// ErrLayout means that checksummed fields contradict each other, the file's
	// size, or what the owner registered.
	ErrLayout = runfile.ErrLayout
)

// CorruptionError reports bad bytes in a run. The keys in them are lost, the
// messages are not.
type CorruptionError struct {
	Path   string
	Offset int64   // where in the file
	Run    RunInfo // the registered run that the file should hold
	Err    error   // what is wrong; see the sentinels, or fs.ErrNotExist
}

// Error names the file and the position.
func (e *CorruptionError) Error() string {
	return fmt.Sprintf("key run %s is damaged at offset %d: %v", e.Path, e.Offset, e.Err)
}

// Unwrap returns what is wrong.
func (e *CorruptionError) Unwrap() error { return e.Err }

// VersionError reports a run that is intact as far as one can tell, but in a
// format of a newer release.
type VersionError = runfile.VersionError
