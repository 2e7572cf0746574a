// Package segment keeps a byte stream of fixed-stride offsets in a chain of
// preallocated, mapped files, and recycles the files that are no longer wanted.
// It knows nothing of what the bytes mean.
//
// # Files
//
// A Chain is one directory. The byte at offset o of the stream lives in the file
// whose base is o - o mod Size, at position o mod Size:
//
//	<dir>/<020d base>         one segment, always exactly Size bytes long
//	<dir>/<020d base>.dead    a removed segment that a reader still holds
//	<pool>/<020d seq>.spare   a recycled file that waits for its next use
//
// The stride is fixed, so finding a file is a division, and a base can be absent
// (a removed segment) without disturbing its neighbours.
//
// # Allocation
//
// A file that will be written has blocks for its whole length before it is
// mapped: a store through a mapping into a hole of a full disk is a SIGBUS, which
// kills the process, while the allocation reports ENOSPC. Nothing ever shortens a
// mapped file. Bytes that will not be written again may lose their blocks: the
// unused end of a sealed segment (File.Trim), and what nobody wants any more in
// front of the writer (File.Free). A hole reads as zeroes.
//
// A file from the Pool is preferred over a fresh one: a sync into blocks that were
// written before needs no file-system journal commit and is several times faster.
// The recycled file still holds its old bytes, so whoever writes records into a
// segment must be able to tell them from stale ones by their position.
//
// # Writing
//
// There are two writers behind one seam, chosen by Options.Writer. Pwrite hands the
// bytes to the kernel by a system call, an I/O error is an error, and a stall keeps
// only the calling thread. Mmap stores into the shared mapping and lets a helper
// goroutine populate the pages ahead of the writer; a stall or an I/O error happens
// inside a store instruction, where Go can neither preempt nor recover. The kernel
// keeps both coherent with reads, and the bytes on disk do not tell which was used.
// Either way File.Sync is fdatasync on the descriptor, never msync.
//
// A file has one writer at a time; the caller arranges that.
//
// # Reading
//
// Files are reference counted. Chain.Acquire takes a reference; File.Bytes is a
// slice of the mapping that stays valid until the matching Release; removing a
// segment, or closing the chain, takes effect when the last reference is gone.
//
// Cold bytes should not be read through the mapping: a page fault holds the
// scheduler's P, and a few faulting goroutines stall the whole process for tens of
// milliseconds. File.Resident asks the kernel (mincore) whether a range is in the
// page cache; when it is not, read it with File.ReadAt, a system call that gives
// the P away. Mappings are advised MADV_RANDOM, since the default readahead turns a
// scattered read of one page into megabytes.
//
// # Concurrency
//
// Chain, Pool and the reading methods of File are safe for concurrent use. There
// are no background goroutines but the Mmap writer's page helper, which Remove and
// Close wait for.
package segment
