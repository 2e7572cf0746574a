package message

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// Envelope carries a message that waits, outside of the broker that holds it. A
// list of envelopes is written back to back, big endian:
//
//	size  field
//	   8  fire time, ms since 1970
//	   8  location at the broker that holds it; 0 when there is none
//	   4  length of the body; more than the message has when the body was left out
//	   n  the stored message, which knows its own length
//
// Part of the wire format; do not change.
type Envelope struct {
	FireMs   int64
	Loc      int64
	BodySize int32
	Record   []byte // of Append, a view when it was decoded
}

const envelopeHead = 20

// AppendEnvelope appends e to dst.
func AppendEnvelope(dst []byte, e *Envelope) []byte {
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.FireMs))
	dst = binary.BigEndian.AppendUint64(dst, uint64(e.Loc))
	dst = binary.BigEndian.AppendUint32(dst, uint32(e.BodySize))
	return append(dst, e.Record...)
}

// Envelopes yields what b holds; Record is a view of it. An error comes last.
func Envelopes(b []byte) iter.Seq2[Envelope, error] {
	return func(yield func(Envelope, error) bool) {
		for len(b) > 0 {
			e, rest, err := cutEnvelope(b)
			if !yield(e, err) || err != nil {
				return
			}
			b = rest
		}
	}
}

func cutEnvelope(b []byte) (e Envelope, rest []byte, err error) {
	if len(b) < envelopeHead {
		return e, nil, fmt.Errorf("%w: envelope of %d bytes", ErrTruncated, len(b))
	}
	be := binary.BigEndian
	e.FireMs, e.Loc, e.BodySize = int64(be.Uint64(b)), int64(be.Uint64(b[8:])), int32(be.Uint32(b[16:]))
	e.Record, rest, err = Split(b[envelopeHead:])
	if err != nil {
		return Envelope{}, nil, err
	}
	return e, rest, nil
}
