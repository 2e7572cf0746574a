// Package runfile is what the immutable sorted files of the indexes (runs) have
// in common, whatever stands in them: how a file becomes durable, who keeps it
// open, and which files in a directory are nobody's.
//
// # Publishing
//
// Write makes the file under its name with suffix ".tmp" and syncs it, Publish
// renames it and syncs the directory: under its final name a file is complete.
// Which files belong to an index its owner keeps in a manifest; a crash between
// two steps leaves a file that is not listed there, and DeleteUnlisted removes it
// at the next start.
//
// # Lifetime
//
// A File counts references: the index and each reader hold one. Drop, after the
// owner has durably taken it off the list, unlinks it with the last reference. The
// unlink needs no directory sync: DeleteUnlisted deletes what a power loss brings
// back.
//
// Files are read by pread, never through a mapping. Acquire and Release are safe
// for concurrent use; the writing functions are called by one goroutine at a time.
package runfile
