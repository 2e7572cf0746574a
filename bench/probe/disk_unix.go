//go:build unix

package probe

import (
	"errors"
	"io/fs"
	"syscall"
)

// blockUnit is the unit of st_blocks, whatever the file system's own.
const blockUnit = 512

func allocated(info fs.FileInfo) int64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Blocks * blockUnit
	}
	return info.Size()
}

func ignoreGone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}
