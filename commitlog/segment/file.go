package segment

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/edsrzf/mmap-go"

	"github.com/duelog/duelog/internal/durable"
)

// pageSize is the granularity of residency checks and hole punching. Where the
// system's pages are larger, checks answer for too much at worst.
const pageSize = 4096

// Errors that callers tell apart.
var (
	// ErrRange means that an offset lies outside the file.
	ErrRange = errors.New("offset outside the segment")
	// ErrSize means that a file is longer than the configured segment size: the
	// directory was written with another one.
	ErrSize = errors.New("segment size differs from the configured one")
)

// File is one mapped segment. It stays mapped until its owner, the Chain, and
// every reader have released it.
type File struct {
	base int64
	size int64
	path string // guarded by Chain.mu
	f    *os.File
	m    mmap.MMap
	w    writer
	io   IO

	refs atomic.Int64
	last func(*File) // runs once, on whichever goroutine drops the last reference
}

// Base is the stream offset of the first byte.
func (f *File) Base() int64 { return f.base }

// Size is the length of the file in bytes.
func (f *File) Size() int64 { return f.size }

// Name is the path under which the file was opened, for messages.
func (f *File) Name() string { return f.f.Name() }

// WriteAt writes all of p at position off of the file. One goroutine at a time.
func (f *File) WriteAt(p []byte, off int64) error {
	if off < 0 || off+int64(len(p)) > f.size {
		return fmt.Errorf("write segment %s: %w", f.Name(), ErrRange)
	}
	if err := f.w.writeAt(p, off); err != nil {
		return fmt.Errorf("write segment %s: %w", f.Name(), err)
	}
	return nil
}

// Allocate makes sure that there are blocks behind every byte from off on. A file
// from Chain.Create has them; one from Chain.Open needs it before it is written.
func (f *File) Allocate(off int64) error {
	if err := f.io.Preallocate(f.f, off&^(pageSize-1), f.size); err != nil {
		return fmt.Errorf("allocate segment %s: %w", f.Name(), err)
	}
	return nil
}

// Sync makes every byte written so far durable (fdatasync), by either writer.
func (f *File) Sync() error {
	if err := f.io.Datasync(f.f); err != nil {
		return fmt.Errorf("sync segment %s: %w", f.Name(), err)
	}
	return nil
}

// ReadAt fills p from position off by a system call, never through the mapping.
func (f *File) ReadAt(p []byte, off int64) error {
	if off < 0 || off+int64(len(p)) > f.size {
		return fmt.Errorf("read segment %s: %w", f.Name(), ErrRange)
	}
	if _, err := f.f.ReadAt(p, off); err != nil {
		if errors.Is(err, io.EOF) {
			err = io.ErrUnexpectedEOF // somebody shortened the file under us
		}
		return fmt.Errorf("read segment %s: %w", f.Name(), err)
	}
	return nil
}

// Bytes is a view of n bytes of the mapping at off, valid while the caller holds a
// reference. The range must lie inside the file. Do not write to it.
func (f *File) Bytes(off int64, n int32) []byte {
	end := off + int64(n)
	return f.m[off:end:end]
}

// Resident tells whether [off, off+n) can be read through the mapping without
// waiting for the disk. The answer may be outdated when it arrives.
func (f *File) Resident(off int64, n int32) bool {
	return resident(f.m[off&^(pageSize-1) : off+int64(n)])
}

// WillNeed asks the kernel to read [off, off+n) into memory, without waiting for it.
// It reports whether there was somebody to ask.
func (f *File) WillNeed(off, n int64) bool { return willNeed(f.f, off, n) }

// Trim gives the blocks of [from, Size) back to the file system as far as whole
// pages allow. The file must not be written afterwards.
func (f *File) Trim(from int64) error {
	from = (from + pageSize - 1) &^ (pageSize - 1)
	if from >= f.size {
		return nil
	}
	return f.Free(from, f.size-from)
}

// Free gives the blocks of [off, off+n), whole pages, back to the file system; they
// read as zeroes from then on, in mappings too. Nothing may be written there again.
func (f *File) Free(off, n int64) error {
	if off < 0 || n < 0 || off+n > f.size || (off|n)%pageSize != 0 {
		return fmt.Errorf("free %d bytes at %d of segment %s: %w", n, off, f.Name(), ErrRange)
	}
	if err := durable.PunchHole(f.f, off, n); err != nil {
		return fmt.Errorf("free bytes of segment %s: %w", f.Name(), err)
	}
	return nil
}

// Acquire takes a reference, unless the last one is gone already.
func (f *File) Acquire() bool {
	for {
		n := f.refs.Load()
		if n == 0 {
			return false
		}
		if f.refs.CompareAndSwap(n, n+1) {
			return true
		}
	}
}

// Release drops a reference. The last one unmaps and closes the file.
func (f *File) Release() {
	switch n := f.refs.Add(-1); {
	case n == 0:
		f.last(f)
	case n < 0:
		panic("BUG: segment released more often than acquired")
	}
}

// open maps the file at path after grow has given it its full length.
func open(path string, base int64, o *Options, grow func(*os.File) error) (*File, error) {
	osf, err := durable.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	f := &File{base: base, size: o.Size, path: path, f: osf, io: o.IO}
	if err = grow(osf); err == nil {
		err = f.attach(o.Writer)
	}
	if err != nil {
		return nil, errors.Join(err, osf.Close())
	}
	f.refs.Store(1)
	return f, nil
}

// attach maps the file and chooses its writer.
func (f *File) attach(kind Writer) error {
	st, err := f.f.Stat()
	if err != nil {
		return fmt.Errorf("open segment: %w", err)
	}
	if st.Size() != f.size {
		return fmt.Errorf("open segment %s: %w: %d bytes, want %d", f.Name(), ErrSize, st.Size(), f.size)
	}
	prot := mmap.RDONLY
	if kind == Mmap {
		prot = mmap.RDWR
	}
	if f.m, err = mmap.MapRegion(f.f, int(f.size), prot, 0, 0); err != nil {
		return fmt.Errorf("map segment %s: %w", f.Name(), err)
	}
	adviseRandom(f.m)
	if kind == Mmap {
		f.w = &mapWriter{m: f.m}
	} else {
		f.w = &pwriter{f: f.f, io: f.io}
	}
	return nil
}

// detach unmaps and closes; nobody holds a reference any more.
func (f *File) detach() error {
	f.w.wait()
	return errors.Join(f.m.Unmap(), f.f.Close())
}
