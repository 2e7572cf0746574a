package consumequeue

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/duelog/duelog/internal/durable"
)

// The file FORMAT says how the files beside it are cut, so that another value
// of Options.FileEntries cannot misread them. Part of the file format; do not
// change.
const (
	formatName    = "FORMAT"
	formatSize    = 16
	formatMagic   = 0x51434c44 // "DLCQ"
	formatVersion = 1
)

// openFormat returns the entries per file of the set in dir; for a new set
// that is want.
func openFormat(dir string, want int64) (int64, error) {
	path := filepath.Join(dir, formatName)
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return want, createFormat(dir, path, want)
	}
	if err != nil {
		return 0, fmt.Errorf("open consume queues: %w", err)
	}
	n, off, err := decodeFormat(b)
	switch {
	case errors.Is(err, ErrVersion):
		return 0, fmt.Errorf("open consume queues %s: %w", path, err)
	case err != nil:
		return 0, &CorruptionError{Path: path, Offset: off, Err: err}
	}
	return n, nil
}

// createFormat makes a new set. Queues without a FORMAT are not new: how they
// are cut is unknown, and to guess wrong would scatter new entries among them.
func createFormat(dir, path string, fileEntries int64) error {
	names, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("open consume queues: %w", err)
	}
	for _, d := range names {
		if d.IsDir() {
			return &CorruptionError{Path: path, Err: fs.ErrNotExist}
		}
	}
	return durable.WriteFile(path, appendFormat(nil, fileEntries))
}

func appendFormat(dst []byte, fileEntries int64) []byte {
	le := binary.LittleEndian
	start := len(dst)
	dst = le.AppendUint32(dst, formatMagic)
	dst = le.AppendUint16(dst, formatVersion)
	dst = le.AppendUint16(dst, EntrySize)
	dst = le.AppendUint32(dst, uint32(fileEntries))
	return le.AppendUint32(dst, crc32.Checksum(dst[start:], castagnoli))
}

// decodeFormat returns the entries per file, or what is wrong and at which offset.
func decodeFormat(b []byte) (fileEntries, off int64, err error) {
	le := binary.LittleEndian
	switch {
	case len(b) < formatSize:
		return 0, int64(len(b)), ErrTruncated
	case le.Uint32(b) != formatMagic:
		return 0, 0, ErrMagic
	case le.Uint32(b[12:]) != crc32.Checksum(b[:12], castagnoli):
		return 0, 12, ErrChecksum
	case le.Uint16(b[4:]) > formatVersion || le.Uint16(b[6:]) != EntrySize:
		return 0, 4, ErrVersion
	}
	n := int64(le.Uint32(b[8:]))
	if n == 0 {
		return 0, 8, ErrChecksum
	}
	return n, 0, nil
}
