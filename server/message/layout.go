package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"net/netip"
)

// Magic numbers and positions are part of the wire and disk format; do not change.
const (
	magicV1 uint32 = 0xDAA320A7
	magicV2 uint32 = 0xDAA320AB

	posMagic       = 4
	posBodyCRC     = 8
	posQueueID     = 12
	posFlag        = 16
	posQueueOffset = 20
	posPhysical    = 28
	posSysFlag     = 36
	posBornMs      = 40
	posBornHost    = 48

	hostV4 = 8  // 4 bytes of address, 4 of port
	hostV6 = 20 // 16 bytes of address, 4 of port

	fixedSize = 88 // everything before the body, with two IPv4 hosts
	minSize   = fixedSize + 1 + 2
)

// Limits of the format.
const (
	// MaxTopicV1 is the longest topic, in bytes, that a v1 message can name.
	MaxTopicV1 = 127
	// MaxTopic is the longest topic, in bytes, that a message can name.
	MaxTopic = 1<<15 - 1
	// MaxProperties is the longest properties string in bytes: its length is
	// stored in a signed 16-bit field.
	MaxProperties = 1<<15 - 1
	// MaxBody bounds a body far above any broker limit, so that sizes and
	// offsets inside a message always fit into 31 bits.
	MaxBody = 1 << 30
)

// Errors of [Append] and [Message.Validate].
var (
	ErrTopicTooLong      = errors.New("message: topic too long")
	ErrPropertiesTooLong = errors.New("message: properties too long")
	ErrBodyTooLong       = errors.New("message: body too long")
)

// Message is one message as it is stored. Times are milliseconds since 1970.
type Message struct {
	QueueID          int32
	Flag             int32 // the producer's own; the broker keeps it untouched
	SysFlag          int32 // SysFlag* bits; Append sets the two host bits itself
	BornMs           int64
	BornHost         netip.AddrPort // the producer; the zero value is stored as 0.0.0.0:0
	StoreMs          int64
	StoreHost        netip.AddrPort // the broker, at an address that clients can dial
	ReconsumeTimes   int32
	PreparedTxOffset int64
	Body             []byte
	Topic            string
	Properties       string
	QueueOffset      int64
	PhysicalOffset   int64

	// BodyCRC is filled by Decode; Append computes it from Body and ignores
	// what stands here.
	BodyCRC uint32
}

// Validate reports whether m fits into the format: nil, or one of
// ErrTopicTooLong, ErrPropertiesTooLong and ErrBodyTooLong, wrapped with the size.
func (m *Message) Validate() error {
	switch {
	case len(m.Topic) > MaxTopic:
		return fmt.Errorf("%w: %d bytes, at most %d", ErrTopicTooLong, len(m.Topic), MaxTopic)
	case len(m.Properties) > MaxProperties:
		return fmt.Errorf("%w: %d bytes, at most %d", ErrPropertiesTooLong, len(m.Properties), MaxProperties)
	case len(m.Body) > MaxBody:
		return fmt.Errorf("%w: %d bytes, at most %d", ErrBodyTooLong, len(m.Body), MaxBody)
	}
	return nil
}

// Size returns the number of bytes that Append adds for m.
func Size(m *Message) int {
	n := minSize + len(m.Body) + len(m.Topic) + len(m.Properties)
	if len(m.Topic) > MaxTopicV1 {
		n++
	}
	if isV6(m.BornHost) {
		n += hostV6 - hostV4
	}
	if isV6(m.StoreHost) {
		n += hostV6 - hostV4
	}
	return n
}

// Append appends the stored form of m to dst. It fails, leaving dst as it was,
// only for what Validate reports.
func Append(dst []byte, m *Message) ([]byte, error) {
	if err := m.Validate(); err != nil {
		return dst, err
	}
	be := binary.BigEndian
	magic := magicV1
	if len(m.Topic) > MaxTopicV1 {
		magic = magicV2
	}
	dst = be.AppendUint32(dst, uint32(Size(m)))
	dst = be.AppendUint32(dst, magic)
	dst = be.AppendUint32(dst, BodyCRC(m.Body))
	dst = be.AppendUint32(dst, uint32(m.QueueID))
	dst = be.AppendUint32(dst, uint32(m.Flag))
	dst = be.AppendUint64(dst, uint64(m.QueueOffset))
	dst = be.AppendUint64(dst, uint64(m.PhysicalOffset))
	dst = be.AppendUint32(dst, uint32(hostFlags(m)))
	dst = be.AppendUint64(dst, uint64(m.BornMs))
	dst = appendHost(dst, m.BornHost)
	dst = be.AppendUint64(dst, uint64(m.StoreMs))
	dst = appendHost(dst, m.StoreHost)
	dst = be.AppendUint32(dst, uint32(m.ReconsumeTimes))
	dst = be.AppendUint64(dst, uint64(m.PreparedTxOffset))
	dst = be.AppendUint32(dst, uint32(len(m.Body)))
	dst = append(dst, m.Body...)
	if magic == magicV1 {
		dst = append(dst, byte(len(m.Topic)))
	} else {
		dst = be.AppendUint16(dst, uint16(len(m.Topic)))
	}
	dst = append(dst, m.Topic...)
	dst = be.AppendUint16(dst, uint16(len(m.Properties)))
	return append(dst, m.Properties...), nil
}

// BodyCRC returns the checksum that is stored for body.
func BodyCRC(body []byte) uint32 { return crc32.ChecksumIEEE(body) & 0x7fffffff }

// hostFlags is SysFlag with the two address-family bits as the hosts demand.
func hostFlags(m *Message) int32 {
	f := m.SysFlag &^ (SysFlagBornV6 | SysFlagStoreV6)
	if isV6(m.BornHost) {
		f |= SysFlagBornV6
	}
	if isV6(m.StoreHost) {
		f |= SysFlagStoreV6
	}
	return f
}

// isV6 reports whether the host needs the 16-byte form; mapped IPv4 does not.
func isV6(h netip.AddrPort) bool { return h.Addr().Is6() && !h.Addr().Is4In6() }

func appendHost(dst []byte, h netip.AddrPort) []byte {
	switch a := h.Addr().Unmap(); {
	case a.Is4():
		ip := a.As4()
		dst = append(dst, ip[:]...)
	case a.Is6():
		ip := a.As16()
		dst = append(dst, ip[:]...)
	default:
		dst = append(dst, 0, 0, 0, 0)
	}
	return binary.BigEndian.AppendUint32(dst, uint32(h.Port()))
}
