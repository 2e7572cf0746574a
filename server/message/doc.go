// Package message reads and writes the RocketMQ stored message: the bytes a
// broker keeps on disk and hands, unchanged but for a few patched fields, to
// whoever pulls, pops or queries. It also holds what goes with them: the
// properties string, offset message ids, unique keys, recall handles, the tag hash
// and the body of a batch send.
//
// The package is pure functions over byte slices. It does no I/O, starts no
// goroutine, keeps no state except in [UniqKeys], and every function is safe for
// concurrent use on different bytes.
//
// # Stored message
//
// All integers are big endian, because this is the wire form. ip is 4 bytes, or
// 16 when the SysFlag bit named in brackets is set.
//
//	offset  size  field
//	     0     4  total size, this field included
//	     4     4  magic: 0xDAA320A7 (v1) or 0xDAA320AB (v2)
//	     8     4  CRC-32 (IEEE) of the body as stored, & 0x7fffffff
//	    12     4  queue id
//	    16     4  flag, opaque to the broker
//	    20     8  queue offset                        Patch
//	    28     8  physical offset                     Patch
//	    36     4  SysFlag
//	    40     8  born time, ms since 1970
//	    48   8|20 born host: ip, port as 4 bytes      [SysFlagBornV6]
//	    56     8  store time, ms since 1970           PatchStoreMs
//	    64   8|20 store host: ip, port as 4 bytes     [SysFlagStoreV6]
//	    72     4  reconsume times
//	    76     8  prepared transaction offset
//	    84     4  body length n, then n bytes
//	    ..  1|2   topic length t (1 byte in v1, 2 in v2), then t bytes
//	    ..     2  properties length p, then p bytes
//
// The offsets from 56 on move by 12 for each IPv6 host. Messages are written as
// v1 when the topic is at most [MaxTopicV1] bytes, because old clients know
// nothing else. IPv4-mapped hosts are stored as IPv4 for the same reason.
//
// # Properties
//
// A properties string is name 0x01 value 0x02, repeated; the last 0x02 may be
// missing. Readers drop empty names and empty values, and the last of several
// equal names wins.
//
// # Zero copy
//
// [Decode], [Batch] and [Split] return views of their input. They are valid as
// long as the input is neither changed nor unmapped; clone what has to live on.
//
// # What it does not do
//
// It never compresses or decompresses a body, and [Decode] does not verify the
// body checksum: [CheckBody] does.
package message
