package segment

import (
	"os"

	"github.com/duelog/duelog/internal/durable"
)

// IO is everything that can fail for lack of space or because of a bad disk. The
// zero Options use the real thing; tests put faults and crash images behind it.
// Its methods may be called concurrently for different files.
type IO interface {
	// WriteAt writes all of p at off. It is not called by the Mmap writer.
	WriteAt(f *os.File, p []byte, off int64) error
	// Datasync makes every byte written to f durable.
	Datasync(f *os.File) error
	// Preallocate gives f blocks for the bytes [off, size) and that length.
	Preallocate(f *os.File, off, size int64) error
}

// Disk is the IO that reaches the disk.
type Disk struct{}

// WriteAt writes all of p at off of f.
func (Disk) WriteAt(f *os.File, p []byte, off int64) error {
	_, err := durable.WriteAt(f, p, off)
	return err
}

// Datasync is fdatasync where the platform has it.
func (Disk) Datasync(f *os.File) error { return durable.Datasync(f) }

// Preallocate is fallocate where the platform has it.
func (Disk) Preallocate(f *os.File, off, size int64) error {
	return durable.PreallocateFrom(f, off, size)
}
