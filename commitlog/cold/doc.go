// Package cold keeps the messages of far-future segments, compacted once: sorted
// by fire time, compressed in blocks, one file per segment they came from.
//
// The commit log stores messages in the order of arrival. A segment whose
// messages fire over a whole year would live as long as the last of them. A cold
// file holds the same records in the order in which they fire, and therefore die:
// what is dead is always a prefix, whose disk blocks are given back while the file
// is in use. A message of next year pins its own bytes and nobody else's.
//
// # Promises
//
//   - A file is complete and durable under its name (Writer.Finish), and never
//     changes afterwards, except that dead prefixes become holes.
//   - A record has one location for its life: the lane offset Base + position in
//     the uncompressed stream. Base is that of the segment it came from, and a
//     file holds at most the bytes of that segment, so the ranges of files do not
//     overlap.
//   - Damage costs the records of the blocks it touches. Block table and footer
//     are a shortcut: without them the blocks are found by their own headers.
//   - Prefetch brings what will be wanted into the page cache, and only that: to decode
//     it ahead would take a block of memory for each message that is wanted.
//   - The block tables are in memory, 24 bytes per block: 1.3 MB per GiB of messages.
//   - Reading is bounded: Options.Reads files reads at a time, Options.CacheBytes
//     of decoded blocks, and records of one block that are wanted at the same time
//     cost one read and one decode.
//
// # Ownership of the truth
//
// A Set does not know which files exist: its owner does, in a manifest, and keeps
// an Info for each. The protocol that keeps both together over a crash:
//
//	w, _ := set.Create(base); w.Append(...); info, _ := w.Finish()
//	f, _ := set.Load(info)           // open, nobody refers to it
//	... register info durably ...
//	set.Add(f)
//
//	infos := set.Dying(...)          // what died, nothing changed yet
//	... register the new infos, unregister those that are dead altogether ...
//	set.Release(infos)               // punch and unlink
//
// Open deletes the files that are not registered.
//
// # Concurrency
//
// All methods of a Set are safe for concurrent use. A Writer belongs to one
// goroutine. Bytes that View returned stay valid for as long as somebody holds
// them; dropping them is all that is needed.
//
// # File
//
// <dir>/<base>, 20 decimal digits. All integers are little endian, all checksums
// CRC32C (Castagnoli). In this order:
//
//	header       64 B
//	blocks       each a header of 40 B and its stored bytes
//	block table  blocks x 24 B
//	footer       64 B
//
//	header                    block header                 footer
//	 0  magic "DuelCold"       0  magic "DCB\x01"           0  u64 offset of block table
//	 8  u16 version = 1        4  u32 crc of what follows   8  u64 bytes of the stream
//	10  u8  lane                  and of the stored bytes  16  u64 records
//	11  u8  zero               8  u32 stored bytes         24  u32 blocks
//	12  u32 crc of header     12  u32 uncompressed bytes   28  u32 crc of block table
//	16  u64 base              16  u64 position             32  u64 first fireMs
//	24  u64 created (ms)      24  u32 records              40  u64 last fireMs
//	32  32 B zero             28  u8  0 raw 1 zstd 2 void  48  u32 zero
//	                          29  3 B zero                 52  u32 crc of footer
//	block table               32  u64 fireMs of the last   56  magic "DuelCEnd"
//	 0  u64 offset in file
//	 8  u64 position in stream
//	16  u64 fireMs of the last record
//
// The CRC of header and footer is taken with its own field zero. The stream, cut
// into blocks between records, is that of a commit log frame's payload: headers of
// 24 bytes (package commitlog), each followed by the record's bytes. A block ends
// before the record that would make it longer than 20 KiB; a longer record has a
// block for itself. A block is stored raw when compressing saves less than a tenth.
// A void block has neither stored bytes nor records: it stands for a part of the
// stream that is lost, in a copy of a damaged file, so that the records behind it
// keep their locations.
//
// # What it does not do
//
// It does not choose what to move or when, knows no index, and starts no goroutine.
package cold
