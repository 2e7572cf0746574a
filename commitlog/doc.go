// Package commitlog is an append-only log of records: one Log is one lane, a byte
// stream cut into recycled segment files, written by group commit and read through
// reference-counted views.
//
// # Promises
//
// Order. Records get ascending locations in the order in which Append accepted
// them, and hooks, completers and scans see them in that order. A location never
// changes; it is not given again unless its record was lost in a crash. The store time of frames never decreases within
// a lane, not even when the wall clock steps back or the process restarts.
//
// Durability. With Sync an acknowledgement (a nil error to the Completer, or a
// return from AppendFrame) means that fdatasync has returned: the record survives
// power loss. With Async it means that the kernel has the bytes: they survive the
// end of the process, and a power loss takes what was written after the last
// background flush. Open makes durable what it visits.
//
// After a failed write or sync nobody knows what the disk holds. The log is then
// read-only (ErrReadOnly) until it is opened again. Records refused that way may
// turn up after reopening; records that were acknowledged do.
//
// Concurrency. Any goroutine may call any method. One writer goroutine per Log
// commits: while it writes and syncs one batch, producers fill the next, so batches
// grow with the load and nothing waits for a timer. AppendFrame commits in the
// caller's goroutine under the same lock.
//
// # Files
//
// Segments have a fixed stride (see package segment): offset o is in the file whose
// name is the largest multiple of SegmentSize not above o. A file is a sequence of
// frames from its start; what follows the last frame is unspecified, and in a
// recycled file consists of old frames. All integers are little endian.
//
//	frame                                  record
//	0   4  magic "DLF", version 1          0   4  size of the payload
//	4   1  lane                            4   4  queue
//	5   1  flags: 1 seal, 2 raw            8   4  tag
//	6   2  records                         12  4  key
//	8   4  bytes of payload                16  8  when << 16 | flags
//	12  4  crc32c                          24  .  payload
//	16  8  Loc of this header
//	24  8  store time, ms
//	32  .  payload: records back to back
//
// The checksum covers header and payload with the checksum field as zero. A record's
// Loc is that of its payload. A raw frame (AppendFrame) holds opaque bytes. Newer
// versions keep the header's layout and its checksum, so that a frame can be told to
// be newer rather than damaged; flags unknown to this version count as newer.
//
// A frame never straddles segments. When the next one does not fit, or the segment
// is older than RollAfter, a seal frame (no payload, flag 1) ends the segment if 32
// bytes are left, the file is synced, and the log continues at the next stride. So
// whenever a segment has a successor, all of it is durable.
//
// # Recovery
//
// Open walks the frames from where the owner asks. A frame is valid if its header
// names its own lane and position, its checksum matches, and its store time is not
// before that of the frame in front of it. The walk decides about bad bytes at P:
//
//  1. If a valid frame follows within 32 MiB (in a segment that has a successor or
//     was sealed: anywhere up to its end), P is damage in the middle. It is
//     reported, skipped, and the walk goes on at the valid frame.
//  2. Else, if P lies before an offset that the owner knows to be committed (the
//     scan's start, or SegmentInfo.End), the bytes up to there are damage, and the
//     log continues there: no location is given a second time.
//  3. Else P is the tail, torn or clean.
//
// Why this is right after a crash at any moment:
//
//   - Sync: a frame is written only after its predecessor is durable. So only the
//     last frame can be torn, and it was not acknowledged. Case 1 never arises from
//     a crash, and if it arises nothing behind the damage is lost with it.
//   - Async: a power loss may keep later frames and lose earlier ones. What it kept
//     is found by case 1, and the hole is reported.
//   - A recycled file: old frames name positions under the file's former base, so
//     they are not valid here, however intact.
//   - A stale frame of the same position (zombie), left beyond a torn tail by an
//     earlier incarnation: those within the window are taken over as in case 1, or
//     rejected, and then Open erases their headers durably before it appends, so
//     that no later crash can complete them. Those beyond the window were written
//     before the crash. The clock of the reopened log starts one millisecond beyond
//     every store time accepted, or registered in SegmentInfo, and goes on with the
//     wall clock; so the frames in front of the zombie are newer than it, and it is
//     rejected, unless the wall clock was set back meanwhile.
//   - No frame starts inside another one. So a header that names its own position is
//     believed about its length even if its frame is bad, and the search for the
//     next frame continues behind it: bytes in a producer's payload that look like a
//     frame are not taken for one. If the length itself is damaged, the sizes in the
//     record headers lead to the next frame. (Raw frames have none, and no payload
//     of strangers, so there the search goes through the payload.)
//   - A new segment is created, named durably, and registered by the owner
//     (Hooks.SegmentAdded) before its first byte. A crash in between leaves a file
//     without a valid first frame, which Open recycles. A file with a valid first
//     frame that is not registered means that the owner's metadata was lost; it is
//     adopted, for metadata damage must never delete data. A removed segment whose
//     renaming was lost by the crash comes back that way too, and the owner removes
//     it again.
//   - A registered file that is missing, or was cut short, is damage, never a reason
//     to give its locations out again.
//
// # Giving space back
//
// A segment is removed as a whole (Remove). Where only a part of it is unwanted, the
// owner registers ranges of it and has them freed (GiveBack), in units of 64 KiB:
// holes in the file, in front of the writer or in a sealed segment. Only frames of
// which nothing is wanted lie in such a unit, but they may reach out of it; what is
// left of them is no valid frame and belongs to the hole. A scan finds the next
// frame behind it as it does behind damage, and tells nobody, because the range is
// registered. Registered and not yet freed is harmless: the owner asks again.
//
// # Disk full
//
// Segments are allocated in full, the next one in the background when the present
// one is half full (with Options.Reserve: at once). If that fails for lack of space,
// appends go on until the segment is full and then get ErrDiskFull; the allocation
// is retried at most once a second, so the log recovers when space comes back.
//
// # What it does not do
//
// It does not interpret records, index them, decide what is dead, or keep a list of
// its segments: that is the owner's metadata, connected through Hooks. View does not
// verify checksums (they are the frame's); Scan and Open do. CRC32C guards against
// accidents, not against somebody who can write to the files.
package commitlog
