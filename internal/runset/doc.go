// Package runset is the machinery that the indexes of a commit-log lane share: a
// chain of memtables and immutable sorted files (runs), whatever stands in them.
//
//	Add -> active memtable -Freeze-> frozen memtables -Flush, Install-> runs -Swap-> other runs or none
//
// # Invariant
//
// Each memtable and each run answers for a range [start, end) of lane bytes. The
// ranges never overlap; those of the frozen memtables, oldest first, and of the active
// one follow each other from IndexedUpTo to the end of what was added. What lies
// before IndexedUpTo is in a run, or its owner has no use for it any more. Each
// step moves a range from one holder to another under one lock, so that who
// acquires the set sees every entry exactly once, for as long as it likes.
//
// # Crash
//
// A set does not know which runs exist: its owner does, in a manifest. Flush makes
// a file durable before anybody refers to it; the owner registers it; Install moves
// readers from the memtable to the run. The other way round, the owner unregisters a
// run before Swap takes it away, and its file is unlinked with its last reader. So a
// crash between two steps leaves a file that is not registered, or a memtable
// whose lane bytes begin at IndexedUpTo as it was registered. Open deletes the one,
// and the owner adds the other again from the lane.
//
// # Concurrency
//
// One writer adds and freezes. One goroutine at a time flushes and installs (others
// wait). Any number of readers acquire. No lock is held during I/O but flushMu, which
// only Flush, Install and Close take.
//
// What an entry is, how memtables and files are laid out and searched is the
// index's: it adds to Active itself and keeps its views, so that no call per entry goes
// through this package.
package runset
