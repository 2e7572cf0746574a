package segment

import (
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// populateWrite makes the pages of b present and writable. Kernels before 5.14
// refuse, and the stores fault as they would have anyway.
func populateWrite(b []byte) { _ = unix.Madvise(b, unix.MADV_POPULATE_WRITE) }

// adviseRandom turns readahead off. Advice may be refused.
func adviseRandom(b []byte) { _ = unix.Madvise(b, unix.MADV_RANDOM) }

// resident tells whether every page of b, which starts on a page boundary, is in
// the page cache. When the kernel does not say, the answer is no.
func resident(b []byte) bool {
	var vec [64]byte
	for len(b) > 0 {
		n := min(len(b), len(vec)*pageSize)
		_, _, errno := unix.Syscall(unix.SYS_MINCORE, uintptr(unsafe.Pointer(&b[0])), uintptr(n), uintptr(unsafe.Pointer(&vec[0])))
		if errno != 0 {
			return false
		}
		for _, v := range vec[:(n+pageSize-1)/pageSize] {
			if v&1 == 0 {
				return false
			}
		}
		b = b[n:]
	}
	return true
}

// willNeed starts to read a part of f into the page cache, if the kernel likes to.
func willNeed(f *os.File, off, n int64) bool {
	return unix.Fadvise(int(f.Fd()), off, n, unix.FADV_WILLNEED) == nil
}
