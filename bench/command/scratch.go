package command

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// scratch is the directory that a session keeps all its files in. It holds a file that
// is locked as long as the process lives. A process that was killed leaves the
// directory behind, and the next session in the same place removes it: the lock tells
// it from that of a session that still runs.
type scratch struct {
	path string
	lock *os.File
}

const (
	scratchPattern = "duelog-bench-*"
	scratchOwner   = "owner" // is locked from the moment it has this name
)

func newScratch(parent string) (*scratch, error) {
	sweep(parent)
	path, err := os.MkdirTemp(parent, scratchPattern)
	if err != nil {
		return nil, fmt.Errorf("make directory: %w", err)
	}
	s := &scratch{path: path}
	if err := s.own(); err != nil {
		return nil, errors.Join(fmt.Errorf("lock directory: %w", err), s.remove())
	}
	return s, nil
}

// own locks the file before it gets its name, so that nobody finds it unlocked.
func (s *scratch) own() (err error) {
	name := filepath.Join(s.path, scratchOwner)
	if s.lock, err = os.Create(name + ".new"); err != nil {
		return err
	}
	if err := unix.Flock(int(s.lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		return err
	}
	return os.Rename(name+".new", name)
}

// remove removes the directory, then lets go of the lock.
func (s *scratch) remove() error {
	err := os.RemoveAll(s.path)
	if s.lock != nil {
		_ = s.lock.Close() // nothing was written
	}
	return err
}

// sweep removes what sessions that are gone left in parent. One that it cannot open or
// remove, such as another user's, it leaves alone.
func sweep(parent string) {
	owners, _ := filepath.Glob(filepath.Join(parent, scratchPattern, scratchOwner)) // the pattern is sound
	for _, name := range owners {
		f, err := os.OpenFile(name, os.O_RDWR, 0)
		if err != nil {
			continue
		}
		if unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) == nil {
			_ = (&scratch{path: filepath.Dir(name), lock: f}).remove()
			continue
		}
		f.Close()
	}
}
