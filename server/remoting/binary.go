package remoting

import (
	"encoding/binary"
	"errors"
	"math"
	"unsafe"
)

// binaryFixed is the size of a binary header without remark and extFields:
// code i16, language u8, version i16, opaque i32, flag i32, two lengths i32.
const binaryFixed = 21

const binaryOpaqueAt = 5

var (
	errShort  = errors.New("header ends early")
	errFields = errors.New("too many extFields")
)

func appendBinaryHeader(dst []byte, h *header) []byte {
	be := binary.BigEndian
	dst = be.AppendUint16(dst, uint16(h.code))
	dst = append(dst, h.language)
	dst = be.AppendUint16(dst, uint16(h.version))
	dst = be.AppendUint32(dst, uint32(h.opaque))
	dst = be.AppendUint32(dst, uint32(h.flag))
	dst = be.AppendUint32(dst, uint32(len(h.remark)))
	dst = append(dst, h.remark...)
	at := len(dst)
	dst = append(dst, 0, 0, 0, 0)
	for i := range h.ext {
		f := &h.ext[i]
		if len(f.Key) > math.MaxInt16 {
			continue // no way to say it in this form
		}
		dst = be.AppendUint16(dst, uint16(len(f.Key)))
		dst = append(dst, f.Key...)
		dst = be.AppendUint32(dst, uint32(len(f.Value)))
		dst = append(dst, f.Value...)
	}
	be.PutUint32(dst[at:], uint32(len(dst)-at-4))
	return dst
}

// decodeBinary reads a binary header into c. Its strings are views of h.
func (c *Command) decodeBinary(h []byte) error {
	be := binary.BigEndian
	if len(h) < binaryFixed {
		return errShort
	}
	c.Code = int32(int16(be.Uint16(h)))
	c.Language = h[2]
	c.Version = int32(int16(be.Uint16(h[3:])))
	c.Opaque = int32(be.Uint32(h[binaryOpaqueAt:]))
	c.Flag = int32(be.Uint32(h[9:]))
	if !c.IsResponse() {
		c.Code = widenCode(c.Code)
	}
	remark, rest, ok := cut32(h[13:])
	if !ok {
		return errShort
	}
	c.Remark = view(remark)
	ext, _, ok := cut32(rest)
	if !ok {
		return errShort
	}
	return c.decodeBinaryExt(ext)
}

func (c *Command) decodeBinaryExt(b []byte) error {
	for len(b) > 0 {
		key, rest, ok := cut16(b)
		if !ok {
			return errShort
		}
		value, rest, ok := cut32(rest)
		if !ok {
			return errShort
		}
		if len(c.Ext) == maxFields {
			return errFields
		}
		c.Ext = append(c.Ext, Field{view(key), view(value)})
		b = rest
	}
	return nil
}

// cut16 splits a string with a 16-bit length off b.
func cut16(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 2 {
		return nil, nil, false
	}
	n := int(binary.BigEndian.Uint16(b))
	if n > math.MaxInt16 || n > len(b)-2 {
		return nil, nil, false
	}
	return b[2 : 2+n], b[2+n:], true
}

// cut32 splits a string with a 32-bit length off b.
func cut32(b []byte) (s, rest []byte, ok bool) {
	if len(b) < 4 {
		return nil, nil, false
	}
	n := binary.BigEndian.Uint32(b)
	if uint64(n) > uint64(len(b)-4) {
		return nil, nil, false
	}
	return b[4 : 4+n], b[4+n:], true
}

// view returns b as a string without a copy.
func view(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }
