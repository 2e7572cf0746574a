package probe

import "unsafe"

const pageSize = 4096

// Aligned returns a buffer of n bytes that begins on a page, as OpenDirect wants it.
func Aligned(n int) []byte {
	b := make([]byte, n+pageSize)
	from := pageSize - int(uintptr(unsafe.Pointer(&b[0]))%pageSize)
	return b[from:][:n:n]
}
