package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// SalvageManifest reads what can still be read of the MANIFEST in dir, when
// ReadManifest says that it is damaged: every intact edit, wherever it stands. The
// edits between them are lost, so only the names and numbers of the queues can be
// believed, and the segments be a hint. intact is how many edits there were.
func SalvageManifest(dir string) (m *Manifest, intact int, err error) {
	b, err := os.ReadFile(manifestPath(dir))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("read manifest: %w", err)
	}
	st := newCatalogState()
	for len(b) >= manifestRecordHeader {
		payload, _, err := decodeManifestRecord(b)
		if err != nil || len(payload) == 0 {
			b = b[1:]
			continue
		}
		if edit(payload).apply(st) == nil {
			intact++
		}
		b = b[manifestRecordHeader+len(payload):]
	}
	return st.export(), intact, nil
}

// InUse returns a *LockedError if another process has the store in dir open, by
// its lock, which it neither takes nor changes.
func InUse(dir string) error {
	path := filepath.Join(dir, lockName)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look at lock file: %w", err)
	}
	defer f.Close()
	err = unix.Flock(int(f.Fd()), unix.LOCK_SH|unix.LOCK_NB) // given up with f
	if errors.Is(err, unix.EWOULDBLOCK) {
		return &LockedError{Path: path, PID: readPID(f)}
	}
	return nil
}
