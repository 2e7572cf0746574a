// Package consumequeue keeps, for each queue of each topic, the ordered list of
// what a consumer of that queue gets: slot 0, 1, 2, ... each pointing at a
// record somewhere in the commit log.
//
// A slot number is what a client calls the queue offset. It is given out once,
// filled once, and then never changes or moves.
//
// # Two steps, because there are two sources
//
// Immediate messages and fired scheduled ones share a queue, but become durable
// in different logs at different moments. So a writer first takes slots
// (Queue.Reserve), makes them durable in its own log, and fills them afterwards
// (Queue.Put), in any order:
//
//	slot    0   1   2   3   4   5   6
//	      +---+---+---+---+---+---+---+
//	      | x | x | x |   | x |   |   |      x = put
//	      +---+---+---+---+---+---+---+
//	Min = 0     Visible = 3       Next = 7
//
// Readers see the prefix without holes, [Min, Visible). A slot that they have
// seen is therefore durable in its source, and so is every slot before it.
//
// # Durability
//
// Queues are derived data: whoever owns the logs can put every entry again.
// Hence Put only touches memory. Queue.Flush writes the visible entries that
// are not yet in files, in bulk, and returns the slot up to which they are
// durable; the owner keeps that number in its checkpoint. A Flush that fails
// has lost nothing: the entries stay in memory and the next Flush writes all of
// them again, as it must, since the pages of a failed fsync may have been dropped.
//
// After a restart Set.Queue is told the range that the checkpoint vouches for.
// Whatever files hold beyond it is ignored and later overwritten. The owner
// replays its logs from the checkpoint with Queue.Restore, and then Queue.Seal
// closes the holes left by slots whose message was lost before it was durable:
// they become void entries, which hold no message for ever.
//
// # Files
//
//	<dir>/FORMAT                      16 bytes, written once
//	<dir>/<topic>/<queue>/<020d>      FileEntries entries of 32 bytes; the name is 32 x its first slot
//
// All integers are little endian. FORMAT:
//
//	0     4         6            8             12       16
//	+-----+---------+------------+-------------+--------+
//	|magic| version | entry size | FileEntries | crc32c |
//	+-----+---------+------------+-------------+--------+
//
// An entry, at byte 32 x slot of the queue:
//
//	0     8      12      14      16         24          32
//	+-----+------+-------+-------+----------+-----------+
//	| loc | size | flags | crc16 | tag hash | deliverMs |
//	+-----+------+-------+-------+----------+-----------+
//
// crc16 is the CRC32C of the other 30 bytes, continued from the value
// low32(slot) xor high32(slot)*0x9e3779b1, its halves joined by xor; 0xffff
// stands for 0. So a hole of zeroes is never an entry, and one of another slot
// hardly ever passes for this one. The tag hash has 32 significant bits; the
// rest is zero.
//
// Where slots were trimmed and a checkpoint says so, a file has holes
// (Queue.FreeBefore).
//
// Names go before content: a new file and its directories are synced before
// Flush returns. Files are removed oldest first, and the newest one only with
// the queue, so that what is missing at the front after a crash was trimmed.
//
// # Concurrency
//
// All methods may be called concurrently. Reserve, Put and the accessors take
// one short mutex or none and never wait for a disk. Read waits for a disk only
// if the slot has left memory. Flush, TrimBefore and Delete of one queue wait
// for each other. The package starts no goroutine.
//
// Locks are taken in this order: Set.mu, Queue.io, Queue.mu, files.mu.
//
// # What it does not do
//
// It does not know records, only where they are. It does not decide when to
// flush (Options.NeedFlush asks), nor what is old (TrimBefore is told). It does
// not limit memory by itself: entries that cannot be flushed stay.
package consumequeue
