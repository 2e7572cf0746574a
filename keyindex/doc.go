// Package keyindex remembers where in one commit-log lane the messages with a
// given key are, pending ones and fired ones alike.
//
// A key is a 64-bit hash that the owner made of it. What is kept per key is a
// 16-byte Entry, hash and location; a Find gives the locations of a hash back,
// newest first. Hashes collide, so the owner looks at the message before it
// believes. An entry costs 16.1 bytes of disk and 0.03 bytes of memory once it
// is flushed, and is written about twice (flush, merge).
//
// # Structure
//
//	Add -> active memtable -Freeze-> frozen memtables -Flush, Install-> runs -Merge, Replace-> fewer runs -Drop-> gone
//
// A memtable is a flat list of entries in the order of arrival, in chunks with a
// small filter of their hashes each: an Add costs a few nanoseconds, a Find looks
// at one bit of most chunks. A run is an immutable file sorted by (hash, loc).
// Each memtable and each run answers for a range [start, end) of lane bytes, as in
// the delay index; the ranges never overlap, and those of newer ones lie behind.
//
// A Find reads at most one block of 4 KiB in each run, more only when there are
// more locations than fit into one. So that there are few runs, MergePlan names
// 16 neighbours of about one size: a lane of 10^9 keys has some 40 runs.
//
// # Ownership of the truth
//
// An Index does not know which runs exist: its owner does, in a manifest.
//
//	ri, wrote, err := x.Flush()          // the file is durable, nobody refers to it
//	... register {ri, wrote} durably ...
//	err = x.Install(ri, wrote)           // readers move from the memtable to the run
//
//	old := x.MergePlan()
//	ri, wrote, err := x.Merge(old, ...)  // the file is durable, nobody refers to it
//	... in one step register {ri, wrote} and unregister old ...
//	err = x.Replace(old, ri, wrote)      // readers move, the old files go
//
//	... unregister ri durably ...
//	err = x.Drop(ri)                     // unlinked with the last reader
//
//	b := x.NewBuilder(start); b.Add(...); ris, err := b.Finish(end) // durable, nobody refers to them
//	... register ris durably ...
//	err = x.Insert(b, end)               // readers find all of it at once, without a memtable
//
// Open deletes the files that are not registered, which makes every crash between
// two steps harmless. Memtables are not durable: after Open the owner adds again
// what the lane holds from IndexedUpTo on.
//
// All of it is derived data, and nothing but finding depends on it. So damage
// costs the keys that it hit and never more: Open leaves a bad run out and reports
// it, Find and Merge pass over a bad block and report it.
//
// # Concurrency
//
// One writer calls Add, Freeze and Insert. One goroutine at a time flushes and installs
// (others wait). Merge, Replace and Drop are called by one goroutine, which may be
// another one. Any number of readers call Find, at any time. Add, Freeze and Find
// never wait for a flush or a merge. Files are read by pread, never through a mapping.
//
// # Run file
//
// <dir>/<start>-<end>.keys, the offsets as 20 decimal digits. All integers are
// little endian, all checksums CRC32C (Castagnoli). In this order:
//
//	header      4096 B
//	blocks      blocks x 4096 B, entries sorted by (hash, loc)
//	fences      blocks x 8 B: the first hash of each block
//
//	header                      block
//	 0  magic "DuelKey\n"          0  255 x {u64 hash, u64 loc}; the last block is
//	 8  u16 version = 1               filled up with zeros
//	10  u8  lane                4080  u32 number of the block
//	11  u8  zero                4084  u32 crc of the block
//	12  u32 crc of header       4088  8 B zero
//	16  u64 start
//	24  u64 end
//	32  u64 count of entries
//	40  u64 created (ms)
//	48  u32 blocks
//	52  u32 crc of fences
//	56  zero up to 4096
//
// A crc is taken with its own field zero. Every byte of the file is under one of
// the checksums: those of header and fences are verified by Open, that of a block
// whenever the block is read. The fences stay in memory.
//
// # What it does not do
//
// It never looks at a message, hashes nothing, decides by nothing but MergePlan
// what to merge, and starts no goroutine.
package keyindex
