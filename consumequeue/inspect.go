package consumequeue

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
)

// ReadFormat returns how many entries a file of the set in dir holds, for a
// program that looks into a set that it does not own. It changes nothing.
// Errors are fs.ErrNotExist, *CorruptionError and ErrVersion.
func ReadFormat(dir string) (fileEntries int64, err error) {
	path := filepath.Join(dir, formatName)
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, fmt.Errorf("read format of consume queues: %w", err)
	}
	n, off, err := decodeFormat(b)
	switch {
	case errors.Is(err, ErrVersion):
		return 0, fmt.Errorf("read %s: %w", path, err)
	case err != nil:
		return 0, &CorruptionError{Path: path, Offset: off, Err: err}
	}
	return n, nil
}

// ListFiles returns the first slots of the files in the directory of one queue,
// ascending, in a set of fileEntries entries per file. A missing directory has none.
func ListFiles(dir string, fileEntries int64) ([]int64, error) {
	names, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list consume queue: %w", err)
	}
	var bases []int64
	for _, d := range names {
		if base, ok := parseName(d.Name(), fileEntries); ok && d.Type().IsRegular() {
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	return bases, nil
}

// FileName is the name of the file whose first slot is base.
func FileName(base int64) string { return fileName(base) }

// ScanFile decodes the entries of the file at path, whose first slot is base,
// from slot from on and calls visit for each until it returns false. An entry
// that does not decode comes with its error; a file whose last entry is cut short
// ends with ErrTruncated for that slot.
func ScanFile(path string, base, from int64, visit func(slot int64, e Entry, err error) bool) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	buf := make([]byte, writeBytes)
	for slot := max(from, base); ; {
		n, err := f.ReadAt(buf, (slot-base)*EntrySize)
		if err != nil && err != io.EOF {
			return fmt.Errorf("read %s: %w", path, err)
		}
		b := buf[:n]
		for ; len(b) > 0; slot++ {
			e, derr := DecodeEntry(b, slot)
			if !visit(slot, e, derr) {
				return nil
			}
			b = b[min(EntrySize, len(b)):]
		}
		if err == io.EOF {
			return nil
		}
	}
}
