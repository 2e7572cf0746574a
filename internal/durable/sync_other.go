//go:build !linux

package durable

import (
	"math"
	"os"
)

// Datasync makes the bytes of f durable, and its size if that changed.
func Datasync(f *os.File) error { return onFile(OpSync, f, f.Sync) }

// Preallocate gives f disk blocks for its first size bytes and makes it that
// long. On a full disk it fails with ENOSPC.
func Preallocate(f *os.File, size int64) error { return fillZero(f, size) }

// PreallocateFrom is Preallocate, since there are no holes here.
func PreallocateFrom(f *os.File, _, size int64) error { return Preallocate(f, size) }

// DropCache does nothing: the platform cannot be asked.
func DropCache(string) error { return nil }

// PunchHole is an optimisation that this platform goes without.
func PunchHole(*os.File, int64, int64) error { return nil }

// NextData returns off: where a file has holes is not known.
func NextData(_ *os.File, off int64) int64 { return off }

// NextHole returns the end of all files.
func NextHole(*os.File, int64) int64 { return math.MaxInt64 }
