package cold

import (
	"errors"
	"fmt"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/internal/runfile"
)

// Why bytes are not what they should be. They come inside a
// *commitlog.CorruptionError, ErrVersion of a newer file inside a *VersionError.
var (
	// ErrMagic means that no such thing starts here.
	ErrMagic = runfile.ErrMagic
	// ErrVersion means that this release does not know the format version.
	ErrVersion = runfile.ErrVersion
	// ErrChecksum means that bytes changed after they were written.
	ErrChecksum = runfile.ErrChecksum
	// ErrTruncated means that the file ends too early.
	ErrTruncated = runfile.ErrTruncated
	// ErrLayout means that fields contradict each other or what the owner registered.
	ErrLayout = runfile.ErrLayout
	// ErrLost means that the block of the record was not found in a damaged file.
	ErrLost = errors.New("block is lost")
)

// VersionError reports an intact file of a newer release.
type VersionError struct {
	Path    string
	Version uint16 // as found in the file
}

// Error names the file and says what to do.
func (e *VersionError) Error() string {
	return fmt.Sprintf("cold file %s has format version %d, this release reads up to %d: use the release that wrote it",
		e.Path, e.Version, version)
}

// Unwrap returns ErrVersion.
func (e *VersionError) Unwrap() error { return ErrVersion }

func corrupt(path string, off int64, err error) error {
	return &commitlog.CorruptionError{Path: path, Offset: off, Err: err}
}
