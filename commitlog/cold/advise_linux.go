package cold

import "golang.org/x/sys/unix"

// resident tells whether the ends of s are in the page cache. When the kernel does
// not say, the answer is no.
func resident(fd int, s stretch) bool {
	var b [1]byte
	for _, at := range [...]int64{s.at, s.at + s.n - 1} {
		if n, err := unix.Preadv2(fd, [][]byte{b[:]}, at, unix.RWF_NOWAIT); n != 1 || err != nil {
			return false
		}
	}
	return true
}

// willNeed starts to read s into the page cache, if the kernel likes to.
func willNeed(fd int, s stretch) bool {
	return unix.Fadvise(fd, s.at, s.n, unix.FADV_WILLNEED) == nil
}
