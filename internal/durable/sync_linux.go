package durable

import (
	"errors"
	"fmt"
	"math"
	"os"

	"golang.org/x/sys/unix"
)

// Datasync makes the bytes of f durable, and its size if that changed.
func Datasync(f *os.File) error {
	if observer.Load() == nil { // the hot path: no closure
		return datasync(f)
	}
	return onFile(OpSync, f, func() error { return datasync(f) })
}

func datasync(f *os.File) error {
	for {
		err := unix.Fdatasync(int(f.Fd()))
		if !errors.Is(err, unix.EINTR) {
			return wrapPath("fdatasync", f, err)
		}
	}
}

// Preallocate gives f disk blocks for its first size bytes and makes it that
// long. On a full disk it fails with ENOSPC.
func Preallocate(f *os.File, size int64) error { return PreallocateFrom(f, 0, size) }

// PreallocateFrom is Preallocate for the bytes [off, size): holes before stay.
func PreallocateFrom(f *os.File, off, size int64) error {
	if off >= size {
		return nil
	}
	return onFile(OpAllocate, f, func() error { return preallocate(f, off, size) })
}

func preallocate(f *os.File, off, size int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), 0, off, size-off)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.EOPNOTSUPP) {
			return fillZero(f, size)
		}
		return wrapPath("fallocate", f, err)
	}
}

// DropCache lets the kernel forget the content of the file at path, which is synced,
// so that the next read goes to the disk. It is for measurements.
func DropCache(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(wrapPath("fadvise", f, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)), f.Close())
}

// PunchHole gives the blocks of [off, off+n) back to the file system. The
// length of f stays, and the range reads as zeroes. It does nothing for n = 0.
func PunchHole(f *os.File, off, n int64) error {
	if n == 0 {
		return nil
	}
	return onFile(OpPunch, f, func() error { return punchHole(f, off, n) })
}

func punchHole(f *os.File, off, n int64) error {
	for {
		err := unix.Fallocate(int(f.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, off, n)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if errors.Is(err, unix.EOPNOTSUPP) {
			return nil // only space suffers
		}
		return wrapPath("punch hole", f, err)
	}
}

func wrapPath(op string, f *os.File, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", op, f.Name(), err)
}

// NextData returns the first offset at or behind off at which f may have bytes other
// than zero, the end of the file if there is none. A hole reads as zeroes, and so does
// what was reserved and never written.
func NextData(f *os.File, off int64) int64 { return seek(f, off, unix.SEEK_DATA) }

// NextHole returns the first offset at or behind off from which on f has only zeroes up
// to NextData of it, the end of the file if there is none.
func NextHole(f *os.File, off int64) int64 { return seek(f, off, unix.SEEK_HOLE) }

func seek(f *os.File, off int64, whence int) int64 {
	at, err := unix.Seek(int(f.Fd()), off, whence)
	switch {
	case err == nil:
		return at
	case errors.Is(err, unix.ENXIO): // off is at the end, or nothing follows
		st, err := f.Stat()
		if err != nil {
			return off
		}
		return max(st.Size(), off)
	case whence == unix.SEEK_DATA:
		return off // not supported: anything may be there
	}
	return math.MaxInt64
}
