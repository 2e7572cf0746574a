package message

import (
	"encoding/binary"
	"fmt"
)

// Patch writes the two offsets into the stored message at the start of b. It
// does nothing when b is too short to be one.
func Patch(b []byte, queueOffset, physicalOffset int64) {
	if len(b) < minSize {
		return
	}
	binary.BigEndian.PutUint64(b[posQueueOffset:], uint64(queueOffset))
	binary.BigEndian.PutUint64(b[posPhysical:], uint64(physicalOffset))
}

// PatchStoreMs writes the store time into the stored message at the start of b.
// It does nothing when b is too short to be one.
func PatchStoreMs(b []byte, ms int64) {
	if at, ok := storeMsAt(b); ok {
		binary.BigEndian.PutUint64(b[at:], uint64(ms))
	}
}

// StoreMs returns the store time of the stored message at the start of b, or 0
// when b is too short to be one.
func StoreMs(b []byte) int64 {
	at, ok := storeMsAt(b)
	if !ok {
		return 0
	}
	return int64(binary.BigEndian.Uint64(b[at:]))
}

func storeMsAt(b []byte) (int, bool) {
	if len(b) < minSize {
		return 0, false
	}
	at, after := hostPositions(b)
	return at, after <= len(b)
}

// AppendWithProperties appends a copy of the stored message rec to dst, with
// extra (itself a properties string) added behind the properties it has. Size
// fields are adjusted; the rest is copied as it is. It returns dst unchanged
// with an error when rec is not one whole message, and ErrPropertiesTooLong when
// there is no room.
func AppendWithProperties(dst, rec []byte, extra string) ([]byte, error) {
	p, err := locate(rec)
	if err != nil {
		return dst, err
	}
	if extra == "" {
		return append(dst, rec[:p.end]...), nil
	}
	n := p.end - p.propsLen - 2
	gap := n > 0 && rec[p.end-1] != propertySeparator // the last separator is optional
	grown := len(extra)
	if gap {
		grown++
	}
	if n+grown > MaxProperties {
		return dst, fmt.Errorf("%w: %d and %d more, at most %d", ErrPropertiesTooLong, n, grown, MaxProperties)
	}
	start := len(dst)
	dst = append(dst, rec[:p.end]...)
	if gap {
		dst = append(dst, propertySeparator)
	}
	dst = append(dst, extra...)
	binary.BigEndian.PutUint32(dst[start:], uint32(p.end+grown))
	binary.BigEndian.PutUint16(dst[start+p.propsLen:], uint16(n+grown))
	return dst, nil
}
