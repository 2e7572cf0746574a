package store

import (
	"encoding/binary"
	"fmt"

	"github.com/duelog/duelog/commitlog"
)

// The fire journal is a commit log of its own (lane journalLane). One frame is
// one batch of firings; the frame's storeMs is the wall clock at which the batch
// was fired, its records field the number of entries. Each entry is 28 bytes,
// little endian:
//
//	loc u64 | slot u64 | queue u32 | size u32 | tag u32
const (
	journalLane      = 255
	journalEntrySize = 28
)

// firing says that the message at loc got slot in queue.
type firing struct {
	loc   commitlog.Loc
	slot  int64
	queue uint32
	size  uint32
	tag   uint32
}

func appendFiring(dst []byte, f *firing) []byte {
	le := binary.LittleEndian
	dst = le.AppendUint64(dst, uint64(f.loc))
	dst = le.AppendUint64(dst, uint64(f.slot))
	dst = le.AppendUint32(dst, f.queue)
	dst = le.AppendUint32(dst, f.size)
	return le.AppendUint32(dst, f.tag)
}

func decodeFiring(b []byte) firing {
	le := binary.LittleEndian
	return firing{
		loc:   commitlog.Loc(le.Uint64(b)),
		slot:  int64(le.Uint64(b[8:])),
		queue: le.Uint32(b[16:]),
		size:  le.Uint32(b[20:]),
		tag:   le.Uint32(b[24:]),
	}
}

// eachFiring calls visit for each entry of a journal frame.
func eachFiring(f *commitlog.Frame, visit func(firing) error) error {
	if len(f.Payload) != f.Records*journalEntrySize {
		return fmt.Errorf("journal frame at %d: %d entries in %d bytes", f.Loc.Offset(), f.Records, len(f.Payload))
	}
	for b := f.Payload; len(b) > 0; b = b[journalEntrySize:] {
		if err := visit(decodeFiring(b)); err != nil {
			return err
		}
	}
	return nil
}
