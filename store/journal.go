package store

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/duelog/duelog/commitlog"
)

// The fire journal is a commit log of its own (lane journalLane). One frame is
// one batch of firings; the frame's storeMs is the wall clock at which the batch
// was fired, its records field the number of entries. An entry is
//
//	lane u8 | offset uvarint | slot uvarint | queue uvarint | size uvarint | tag u32
//
// with the tag in little endian: some 16 bytes. Entries used to have 28 bytes, "loc u64 |
// slot u64 | queue u32 | size u32 | tag u32", and such frames are still read: a payload of
// 28 bytes for each entry is one of them, and a new one that would have that length by
// chance gets a zero byte more.
const (
	journalLane     = 255
	maxFiringSize   = 1 + 10 + 10 + 5 + 5 + 4
	fixedFiringSize = 28
)

// firing says that the message at loc got slot in queue.
type firing struct {
	loc   commitlog.Loc
	slot  int64
	queue uint32
	size  uint32
	tag   uint32
}

// appendFirings appends the payload of a frame.
func appendFirings(dst []byte, fs []firing) []byte {
	start := len(dst)
	for i := range fs {
		dst = appendFiring(dst, &fs[i])
	}
	if len(dst)-start == len(fs)*fixedFiringSize {
		dst = append(dst, 0)
	}
	return dst
}

func appendFiring(dst []byte, f *firing) []byte {
	dst = append(dst, f.loc.Lane())
	dst = binary.AppendUvarint(dst, uint64(f.loc.Offset()))
	dst = binary.AppendUvarint(dst, uint64(f.slot))
	dst = binary.AppendUvarint(dst, uint64(f.queue))
	dst = binary.AppendUvarint(dst, uint64(f.size))
	return binary.LittleEndian.AppendUint32(dst, f.tag)
}

// decodeFiring reads the entry at the start of b and returns its size, which is 0
// when it is none.
func decodeFiring(b []byte) (f firing, n int) {
	if len(b) == 0 {
		return f, 0
	}
	var v [4]uint64
	n = 1
	for i := range v {
		var k int
		if v[i], k = binary.Uvarint(b[n:]); k <= 0 {
			return f, 0
		}
		n += k
	}
	if len(b) < n+4 || v[0] >= 1<<56 || v[1] > math.MaxInt64 || v[2] > math.MaxUint32 || v[3] > math.MaxUint32 {
		return f, 0
	}
	f = firing{loc: commitlog.MakeLoc(b[0], int64(v[0])), slot: int64(v[1]), queue: uint32(v[2]), size: uint32(v[3])}
	f.tag = binary.LittleEndian.Uint32(b[n:])
	return f, n + 4
}

func decodeFixedFiring(b []byte) firing {
	le := binary.LittleEndian
	return firing{
		loc:   commitlog.Loc(le.Uint64(b)),
		slot:  int64(le.Uint64(b[8:])),
		queue: le.Uint32(b[16:]),
		size:  le.Uint32(b[20:]),
		tag:   le.Uint32(b[24:]),
	}
}

// eachFiring calls visit for each entry of a journal frame, with where it begins in
// the payload.
func eachFiring(f *commitlog.Frame, visit func(at int, x firing) error) error {
	fixed := len(f.Payload) == f.Records*fixedFiringSize
	at := 0
	for range f.Records {
		x, n := firing{}, fixedFiringSize
		if fixed {
			x = decodeFixedFiring(f.Payload[at:])
		} else if x, n = decodeFiring(f.Payload[at:]); n == 0 {
			return fmt.Errorf("journal frame at %d: no entry at byte %d of %d", f.Loc.Offset(), at, len(f.Payload))
		}
		if err := visit(at, x); err != nil {
			return err
		}
		at += n
	}
	padded := at == f.Records*fixedFiringSize && len(f.Payload) == at+1 && f.Payload[at] == 0
	if at != len(f.Payload) && !padded {
		return fmt.Errorf("journal frame at %d: %d entries in %d bytes", f.Loc.Offset(), f.Records, len(f.Payload))
	}
	return nil
}
