package message

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
)

// ErrID is returned, wrapped, for a string that is no offset message id.
var ErrID = errors.New("message: malformed offset message id")

const hexUpper = "0123456789ABCDEF"

// AppendOffsetID appends the offset message id: upper-case hex of ip (4 or 16
// bytes), port (4) and physical offset (8), so 32 or 56 characters. Clients dial
// the address in it, so host must be one that they can reach.
func AppendOffsetID(dst []byte, host netip.AddrPort, physicalOffset int64) []byte {
	var raw [hostV6 + 8]byte
	b := appendHost(raw[:0], host)
	b = binary.BigEndian.AppendUint64(b, uint64(physicalOffset))
	return appendHexUpper(dst, b)
}

// OffsetID is AppendOffsetID as a string.
func OffsetID(host netip.AddrPort, physicalOffset int64) string {
	var buf [2 * (hostV6 + 8)]byte
	return string(AppendOffsetID(buf[:0], host, physicalOffset))
}

// ParseOffsetID splits an offset message id, in either letter case.
func ParseOffsetID(id string) (h netip.AddrPort, physicalOffset int64, err error) {
	if len(id) != 2*(hostV4+8) && len(id) != 2*(hostV6+8) {
		return h, 0, fmt.Errorf("%w: %d characters", ErrID, len(id))
	}
	b, err := hex.DecodeString(id)
	if err != nil {
		return h, 0, fmt.Errorf("%w: %q", ErrID, id)
	}
	n := len(b) - 8
	if binary.BigEndian.Uint32(b[n-4:]) > 0xffff {
		return h, 0, fmt.Errorf("%w: port out of range in %q", ErrID, id)
	}
	return host(b[:n]), int64(binary.BigEndian.Uint64(b[n:])), nil
}

func appendHexUpper(dst, b []byte) []byte {
	for _, c := range b {
		dst = append(dst, hexUpper[c>>4], hexUpper[c&15])
	}
	return dst
}
