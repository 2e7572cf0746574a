package commitlog

import (
	"os"
	"syscall"
)

func inode(f *os.File) uint64 {
	st, err := f.Stat()
	if err != nil {
		panic(err)
	}
	return st.Sys().(*syscall.Stat_t).Ino
}
