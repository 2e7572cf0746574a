package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"unsafe"
)

// Errors of [Decode] and [Split]. They are wrapped with the position or value at fault.
var (
	ErrTruncated = errors.New("message: truncated")
	ErrMagic     = errors.New("message: unknown magic")
	ErrSize      = errors.New("message: size field disagrees with content")
	ErrChecksum  = errors.New("message: body checksum mismatch")
)

// Decode reads the message at the start of b into m, overwriting all of it; what
// follows the message in b is ignored. Body, Topic and Properties are views of b.
func Decode(b []byte, m *Message) error {
	p, err := locate(b)
	if err != nil {
		return err
	}
	be := binary.BigEndian
	*m = Message{
		BodyCRC:          be.Uint32(b[posBodyCRC:]),
		QueueID:          int32(be.Uint32(b[posQueueID:])),
		Flag:             int32(be.Uint32(b[posFlag:])),
		QueueOffset:      int64(be.Uint64(b[posQueueOffset:])),
		PhysicalOffset:   int64(be.Uint64(b[posPhysical:])),
		SysFlag:          int32(be.Uint32(b[posSysFlag:])),
		BornMs:           int64(be.Uint64(b[posBornMs:])),
		BornHost:         host(b[posBornHost:p.storeMs]),
		StoreMs:          int64(be.Uint64(b[p.storeMs:])),
		StoreHost:        host(b[p.storeMs+8 : p.afterHosts]),
		ReconsumeTimes:   int32(be.Uint32(b[p.afterHosts:])),
		PreparedTxOffset: int64(be.Uint64(b[p.afterHosts+4:])),
		Body:             b[p.body:p.topicLen:p.topicLen],
		Topic:            view(b[p.topic:p.propsLen]),
		Properties:       view(b[p.propsLen+2 : p.end]),
	}
	return nil
}

// CheckBody reports ErrChecksum when the body of a decoded message is not the
// one its checksum was computed from.
func CheckBody(m *Message) error {
	if got := BodyCRC(m.Body); got != m.BodyCRC {
		return fmt.Errorf("%w: stored %08x, computed %08x", ErrChecksum, m.BodyCRC, got)
	}
	return nil
}

// Split cuts the first message off b, which holds messages back to back as a
// pull reply does. It validates as much as Decode.
func Split(b []byte) (first, rest []byte, err error) {
	p, err := locate(b)
	if err != nil {
		return nil, nil, err
	}
	return b[:p.end:p.end], b[p.end:], nil
}

// positions are the offsets of what does not stand at a fixed place.
type positions struct {
	storeMs    int // store time
	afterHosts int // reconsume times
	body       int // first byte of the body
	topicLen   int // topic length field, right after the body
	topic      int
	propsLen   int // properties length field, right after the topic
	end        int // end of the message
}

// locate walks over the variable parts of the message at the start of b. When it
// returns nil every position lies inside b, in ascending order.
func locate(b []byte) (p positions, err error) {
	be := binary.BigEndian
	if len(b) < minSize {
		return p, fmt.Errorf("%w: %d bytes, at least %d", ErrTruncated, len(b), minSize)
	}
	magic := be.Uint32(b[posMagic:])
	if magic != magicV1 && magic != magicV2 {
		return p, fmt.Errorf("%w: %08x", ErrMagic, magic)
	}
	total := be.Uint32(b)
	if total < minSize {
		return p, fmt.Errorf("%w: %d, at least %d", ErrSize, total, minSize)
	}
	if uint64(total) > uint64(len(b)) {
		return p, fmt.Errorf("%w: size field says %d, have %d", ErrTruncated, total, len(b))
	}
	b = b[:total]
	p.storeMs, p.afterHosts = hostPositions(b)
	p.body = p.afterHosts + 16
	if p.body > len(b) {
		return p, fmt.Errorf("%w: %d bytes cannot hold its hosts", ErrSize, total)
	}
	n := be.Uint32(b[p.body-4:])
	if uint64(n) > uint64(len(b)-p.body) {
		return p, fmt.Errorf("%w: body of %d bytes", ErrSize, n)
	}
	p.topicLen = p.body + int(n)
	if err := p.locateTail(b, magic); err != nil {
		return p, err
	}
	return p, nil
}

// locateTail finds topic and properties; they must end where the message ends.
func (p *positions) locateTail(b []byte, magic uint32) error {
	tail := b[p.topicLen:]
	width := 1
	if magic == magicV2 {
		width = 2
	}
	if len(tail) < width {
		return fmt.Errorf("%w: no room for the topic", ErrSize)
	}
	n := int(tail[0])
	if width == 2 {
		n = n<<8 | int(tail[1])
	}
	if len(tail) < width+n+2 {
		return fmt.Errorf("%w: topic of %d bytes", ErrSize, n)
	}
	p.topic = p.topicLen + width
	p.propsLen = p.topic + n
	n = int(binary.BigEndian.Uint16(b[p.propsLen:]))
	p.end = p.propsLen + 2 + n
	if p.end != len(b) || n > MaxProperties {
		return fmt.Errorf("%w: properties of %d bytes", ErrSize, n)
	}
	return nil
}

// hostPositions derives from the SysFlag where the store time and the field
// after the store host are. b holds at least the fixed fields up to the born host.
func hostPositions(b []byte) (storeMs, afterHosts int) {
	sysFlag := int32(binary.BigEndian.Uint32(b[posSysFlag:]))
	storeMs = posBornHost + hostV4
	if sysFlag&SysFlagBornV6 != 0 {
		storeMs = posBornHost + hostV6
	}
	afterHosts = storeMs + 8 + hostV4
	if sysFlag&SysFlagStoreV6 != 0 {
		afterHosts = storeMs + 8 + hostV6
	}
	return storeMs, afterHosts
}

// host reads an 8- or 20-byte address. The port field has 32 bits, ports 16.
func host(b []byte) netip.AddrPort {
	n := len(b) - 4
	ip, _ := netip.AddrFromSlice(b[:n])
	return netip.AddrPortFrom(ip, uint16(binary.BigEndian.Uint32(b[n:])))
}

// view returns b as a string without a copy.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
