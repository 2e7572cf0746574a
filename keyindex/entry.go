package keyindex

import (
	"cmp"
	"encoding/binary"
)

// EntrySize is the size of an entry on disk, in bytes. It is part of the file
// format; do not change.
const EntrySize = 16

// Entry says that the message at Loc has a key with this hash.
type Entry struct {
	Hash uint64
	Loc  uint64 // where the message is: lane<<56 | offset in the lane
}

// compare orders entries by (hash, loc).
func compare(a, b Entry) int {
	if c := cmp.Compare(a.Hash, b.Hash); c != 0 {
		return c
	}
	return cmp.Compare(a.Loc, b.Loc)
}

func (e Entry) less(o Entry) bool {
	return e.Hash < o.Hash || e.Hash == o.Hash && e.Loc < o.Loc
}

// putEntry encodes e into the first EntrySize bytes of b.
func putEntry(b []byte, e Entry) {
	_ = b[EntrySize-1]
	binary.LittleEndian.PutUint64(b[0:], e.Hash)
	binary.LittleEndian.PutUint64(b[8:], e.Loc)
}

// entryAt decodes the i-th entry of b.
func entryAt(b []byte, i int) Entry {
	b = b[i*EntrySize : (i+1)*EntrySize]
	return Entry{Hash: binary.LittleEndian.Uint64(b[0:]), Loc: binary.LittleEndian.Uint64(b[8:])}
}
