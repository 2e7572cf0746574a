// Package durable holds the few file operations whose order decides what a
// power loss leaves behind.
//
// The rules, relied on by every package that writes files:
//
//   - A file's bytes are durable after Datasync of its descriptor.
//   - A file's name (create, rename, unlink) is durable after SyncDir of its
//     directory; neither implies the other.
//   - A whole-file replacement goes through WriteFile, so that a reader after a
//     crash finds the old content or the new, never a mixture, and the content
//     before the last one is kept beside it as a second chance.
//   - A file that will be mapped is allocated in full by Preallocate first: a
//     store into a hole of a full disk is a SIGBUS that kills the process, while
//     Preallocate reports ENOSPC.
//
// The functions have no state and may be called concurrently for different paths.
package durable

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// BackupSuffix is appended to a path by WriteFile to keep the content that it replaces.
const BackupSuffix = ".bak"

const (
	tmpSuffix  = ".tmp"  // the new content, until it is complete
	prevSuffix = ".prev" // the old content, until the new one is in place
)

// SyncDir makes the names in dir durable.
func SyncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return fmt.Errorf("sync directory: %w", err)
	}
	defer d.Close()
	if err := onPath(OpSyncDir, dir, "", d.Sync); err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// WriteFile replaces the content of path durably and atomically. The content
// that it replaces stays readable at path + BackupSuffix.
//
// The backup changes only after the new content is durable: path may hold
// damage now, and its backup the only good copy.
func WriteFile(path string, data []byte) error {
	tmp, prev := path+tmpSuffix, path+prevSuffix
	if err := writeSynced(tmp, data); err != nil {
		return err
	}
	replaces, err := keepPrevious(path, prev)
	if err != nil {
		return err
	}
	if err := Rename(tmp, path); err != nil {
		return fmt.Errorf("replace file: %w", err)
	}
	if err := SyncDir(filepath.Dir(path)); err != nil {
		return err
	}
	if !replaces {
		return nil
	}
	if err := Rename(prev, path+BackupSuffix); err != nil {
		return fmt.Errorf("keep backup: %w", err)
	}
	return nil
}

// keepPrevious links the present content of path, if there is any, under the
// name prev. A link, not a rename: at no moment is path itself missing.
func keepPrevious(path, prev string) (exists bool, err error) {
	if err := Remove(prev); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("drop leftover of an earlier write: %w", err)
	}
	err = link(path, prev)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("keep previous content: %w", err)
	}
	return true, nil
}

func writeSynced(path string, data []byte) error {
	f, err := Create(path)
	if err != nil {
		return fmt.Errorf("write file: %w", err)
	}
	_, err = Write(f, data)
	if err == nil {
		err = onFile(OpSync, f, f.Sync)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		_ = Remove(path) // half a file only takes space, perhaps on a full disk
		return fmt.Errorf("write file %s: %w", path, err)
	}
	return nil
}

// ReadFile returns the newest content of path that valid accepts: the file
// itself, else its backup. usedBackup tells which. When neither exists the
// error is fs.ErrNotExist, and only then: a caller may take it for a new start.
// When none is accepted the error joins what valid said.
func ReadFile(path string, valid func([]byte) error) (data []byte, usedBackup bool, err error) {
	data, err = readValid(path, valid)
	if err == nil {
		return data, false, nil
	}
	backup, berr := readValid(path+BackupSuffix, valid)
	if berr == nil {
		return backup, true, nil
	}
	switch {
	case errors.Is(berr, fs.ErrNotExist):
		return nil, false, err
	case errors.Is(err, fs.ErrNotExist):
		return nil, false, berr
	default:
		return nil, false, errors.Join(err, berr)
	}
}

func readValid(path string, valid func([]byte) error) ([]byte, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	if err := valid(data); err != nil {
		return nil, fmt.Errorf("read %s: %w", path, err)
	}
	return data, nil
}
