package runfile

import (
	"errors"
	"fmt"
	"hash/crc32"
)

// What can be wrong with the bytes of a file.
var (
	// ErrMagic means that the bytes are not such a file at all.
	ErrMagic = errors.New("bad magic")
	// ErrVersion means that this release does not know the format version.
	ErrVersion = errors.New("unsupported format version")
	// ErrChecksum means that bytes changed after they were written.
	ErrChecksum = errors.New("checksum mismatch")
	// ErrTruncated means that the file ends too early.
	ErrTruncated = errors.New("file is truncated")
	// ErrLayout means that checksummed fields contradict each other, the file's
	// size, or what the owner registered.
	ErrLayout = errors.New("inconsistent layout")
)

// VersionError reports a file that is intact as far as one can tell, but in a
// format of a newer release.
type VersionError struct {
	Path    string
	Version uint16 // as found in the file
	Known   uint16 // the newest that this release reads
}

// Error names the file and says what to do.
func (e *VersionError) Error() string {
	return fmt.Sprintf("run %s has format version %d, this release reads up to %d: use the release that wrote it",
		e.Path, e.Version, e.Known)
}

// Unwrap returns ErrVersion.
func (e *VersionError) Unwrap() error { return ErrVersion }

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// Checksum is the CRC32C of b.
func Checksum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// ChecksumExcept is the CRC32C of b with the four bytes from at on, where the
// checksum itself stands, taken as zero.
func ChecksumExcept(b []byte, at int) uint32 {
	var zero [4]byte
	crc := crc32.Update(0, castagnoli, b[:at])
	crc = crc32.Update(crc, castagnoli, zero[:])
	return crc32.Update(crc, castagnoli, b[at+4:])
}
