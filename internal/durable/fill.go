package durable

import (
	"fmt"
	"os"
)

// fillZero allocates blocks the portable way: it writes zeroes from the
// present end of f up to size. It cannot fill holes before that end.
func fillZero(f *os.File, size int64) error {
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("preallocate: %w", err)
	}
	zero := make([]byte, 1<<20)
	for off := st.Size(); off < size; {
		n := min(size-off, int64(len(zero)))
		if _, err := WriteAt(f, zero[:n], off); err != nil {
			return fmt.Errorf("preallocate: %w", err)
		}
		off += n
	}
	return nil
}
