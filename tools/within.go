package tools

import (
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
)

// within reports whether path is dir or lies in it, whatever links lead there. path need
// not exist.
func within(path, dir string) (bool, error) {
	p, err := realPath(path)
	if err != nil {
		return false, err
	}
	d, err := realPath(dir)
	if err != nil {
		return false, err
	}
	rel, err := filepath.Rel(d, p)
	return err == nil && filepath.IsLocal(rel), err
}

// realPath is an absolute path without links; of what does not exist, the path that it
// would have.
func realPath(path string) (string, error) {
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(path)
	if parent := filepath.Dir(path); errors.Is(err, fs.ErrNotExist) && parent != path {
		real, err = realPath(parent)
		return filepath.Join(real, filepath.Base(path)), err
	}
	return real, err
}

// refuseWithin is the usage error of a verb whose flag names a path in a store or directory
// that it only reads.
func refuseWithin(verb, flag, path, dir string) error {
	inside, err := within(path, dir)
	switch {
	case err != nil:
		return hint(fmt.Errorf("%s: %w", verb, err), "choose another %s", flag)
	case inside:
		return hint(usagef("%s: %s lies in the store: nothing is written there", verb, path), "choose a %s outside of %s", flag, dir)
	}
	return nil
}
