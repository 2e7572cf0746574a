// Package delayindex remembers when the scheduled messages of one commit-log
// lane are due.
//
// A message body is stored once, in a lane. What this package keeps per message
// is an Entry, 32 bytes in memory: the fire time, and where the body is. An Index
// takes entries in the order in which the lane stored them and gives them back in
// the order in which they are due, (fire time, loc), for any range of time. It
// costs tens of nanoseconds and some 17 bytes of disk per entry, whatever the
// distribution of fire times, and the same memory whatever the number pending.
//
// # Structure
//
// It is a log-structured index with one level:
//
//	Add -> active memtable -Freeze-> frozen memtables -Flush, Install-> runs -Drop, Replace-> gone
//
// A memtable is a flat list of entries in lane order, in chunks that know their
// earliest and latest fire time. A run is an immutable sorted file. Each
// memtable and each run answers for a range [start, end) of lane bytes; the
// ranges never overlap, and together they reach to the end of the lane. A range
// of which no entry is left has neither.
//
// The per-second chain of a classical timer wheel is here the slices of that
// second in each run, found by directory and one block read; Snapshot.Second
// walks it.
//
// # Ownership of the truth
//
// An Index does not know which runs exist: its owner does, in a manifest. The
// protocol that keeps the two together over a crash is
//
//	ri, wrote, err := x.Flush(keep)   // the file is durable, nobody refers to it
//	... register {ri, wrote} durably ...
//	err = x.Install(ri, wrote)        // readers move from the memtable to the run
//
//	... unregister ri durably ...
//	err = x.Drop(ri)                  // unlinked with the last snapshot
//
// Runs are replaced by others, merged or moved to another lane's index, by the
// same protocol:
//
//	w, err := x.Rewrite(iterator, start, end, atMost)  // durable, nobody refers to it
//	... unregister the old runs and register w.Info in one durable step ...
//	done, err := x.Replace(olds, {w})                  // readers move in one step
//	err = done()                                       // the old files go with the last snapshot
//
// Open deletes the files that are not registered, which makes every crash
// between two steps harmless. Memtables are not durable: after Open the owner
// adds again what the lane holds from IndexedUpTo on. The whole index is
// derived data in this sense; a damaged run is rebuilt by opening with the runs
// before it and indexedUpTo at its start.
//
// # Concurrency
//
// One writer calls Add and Freeze. One goroutine at a time flushes and installs
// (others wait). Any number of readers take snapshots, at any time. Add,
// Freeze and Snapshot never wait for a flush: it holds no lock that they need
// while it sorts and writes. A Snapshot sees the entries that were added before
// it, exactly once each, until it is released, whatever is installed or dropped
// meanwhile. Files are read by pread, never through a mapping.
//
// # Run file
//
// <dir>/<start>-<end>.run, the offsets as 20 decimal digits. All integers are
// little endian, all checksums CRC32C (Castagnoli). In this order:
//
//	header      64 B
//	blocks      of 2048 entries, the last of fewer, sorted by (fire time, loc)
//	block table blocks x 16 B
//	hours       two numbers for each hour in which something fires
//	footer      64 B
//
//	header               block header              footer
//	 0  magic "DuelRun\n"   0  u8  shift of when     0  u64 offset of block table
//	 8  u16 version = 2     1  u8  bytes of when     8  u64 offset of hours
//	10  u8  lane            2  u8  of loc           16  u64 file size
//	11  u8  zero            3  u8  of size          24  u32 blocks
//	12  u32 crc of header   4  u8  of queue         28  u32 hours
//	16  u64 start           5  u8  of tag           32  u32 crc of block table, hours
//	24  u64 end             6  u8  of key           36  16 B zero
//	32  u64 count           7  u8  zero             52  u32 crc of footer
//	40  u64 min fireMs      8  u64 base of when     56  magic "DuelEnd\n"
//	48  u64 max fireMs     16  u64 of loc
//	56  u64 created (ms)   24  u32 of size          block table
//	                       28  u32 of queue          0  u64 first fireMs
//	hours (varints)        32  u32 of tag            8  u32 crc of block
//	hours since the one    36  u32 of key           12  u32 bytes of block
//	before, the first      40  u32 entries
//	since 1970; entries    44  u32 zero
//
// Behind a block's header stand its entries, in rows of one size: when (the fire
// time<<16 | flags, shifted right by 16 if no entry of the block has a flag), loc,
// size, queue, tag, key, each as so many bytes as the header says, which add to its
// base. A second or an hour of one lane needs two to four bytes of when and loc,
// one of size and queue, and a hash is a hash: 17 bytes where fixed fields would take
// 32. Rows of one size are found without reading those before them.
//
// In version 1, which is still read, blocks had no header and entries 32 bytes: u64
// when and loc, u32 size, queue, tag and key; the block table had no sizes, and an hour
// was u32 hour, u32 index of its first entry.
//
// The CRC of header and footer is taken with its own field zero. Every byte of
// the file is under one of the checksums: those of header, footer, block table
// and hours are verified by Open, that of a block whenever the block is read.
// Block table and hours stay in memory, 24 bytes per 2048 entries and 8 per
// hour: the table finds a time where entries are dense, the hours where they
// are sparse. Both together place any time within one block.
//
// A run is written under its name with suffix ".tmp", synced, renamed, and its
// directory synced; under its final name a file is complete.
//
// # What it does not do
//
// It resolves no tombstones, decides about no merge, never looks at a record, and
// starts no goroutine.
package delayindex
