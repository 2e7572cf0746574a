package bench

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math/rand/v2"
)

// MinBody is the smallest body, in bytes: its header and a little text.
const MinBody = headerSize + 8

// Layout of a body: lower-case hexadecimal digits, so that systems which expect
// text are not put off, then text that compresses to about half.
//
//	 0  16  series, which all messages of one ledger share
//	16  16  id
//	32  16  due time, nanoseconds since 1970
//	48   8  CRC-32C of all the other bytes
//	56   .  text
const (
	headerSize = 56
	crcAt      = 48
	crcEnd     = headerSize
)

// Errors of parseBody.
var (
	errBodySize   = errors.New("body has another length")
	errBodyHeader = errors.New("body has no valid header")
	errBodyCRC    = errors.New("body does not match its checksum")
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// label is what a body says of itself.
type label struct {
	series, id uint64
	dueNs      int64
}

// fill writes the body of l into body, which keeps its length, at least MinBody.
// The text is that of id.
func (l label) fill(body []byte) {
	var raw [24]byte
	binary.BigEndian.PutUint64(raw[0:], l.series)
	binary.BigEndian.PutUint64(raw[8:], l.id)
	binary.BigEndian.PutUint64(raw[16:], uint64(l.dueNs))
	hex.Encode(body[:crcAt], raw[:])
	fillText(body[headerSize:], l.id)
	binary.BigEndian.PutUint32(raw[:], bodyCRC(body))
	hex.Encode(body[crcAt:crcEnd], raw[:4])
}

// parseBody reads the label of a body that should be size bytes long, and checks
// every byte of it.
func parseBody(body []byte, size int) (label, error) {
	if len(body) != size || len(body) < MinBody {
		return label{}, fmt.Errorf("%w: %d bytes instead of %d", errBodySize, len(body), size)
	}
	var raw [28]byte
	if _, err := hex.Decode(raw[:], body[:headerSize]); err != nil {
		return label{}, fmt.Errorf("%w: %w", errBodyHeader, err)
	}
	if binary.BigEndian.Uint32(raw[24:]) != bodyCRC(body) {
		return label{}, errBodyCRC
	}
	return label{
		series: binary.BigEndian.Uint64(raw[0:]),
		id:     binary.BigEndian.Uint64(raw[8:]),
		dueNs:  int64(binary.BigEndian.Uint64(raw[16:])),
	}, nil
}

func bodyCRC(body []byte) uint32 {
	return crc32.Update(crc32.Checksum(body[:crcAt], castagnoli), castagnoli, body[crcEnd:])
}

// text is what bodies are filled from: 16 random letters, then 16 that repeat the
// ones before, and so on.
var text = makeText()

const textSize = 1 << 16

func makeText() []byte {
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"
	r := rand.New(rand.NewPCG(1, 2))
	out := make([]byte, textSize)
	for i := range out {
		if i&16 != 0 {
			out[i] = out[i-16]
		} else {
			out[i] = letters[r.IntN(len(letters))]
		}
	}
	return out
}

// fillText fills dst from a place in text that differs from id to id.
func fillText(dst []byte, id uint64) {
	at := int(id*2654435761%textSize) &^ 31
	for len(dst) > 0 {
		n := copy(dst, text[at:])
		dst, at = dst[n:], 0
	}
}
