package remoting

import (
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// Errors that mean the framing is lost: what follows in the stream cannot be
// trusted, and the connection has to go.
var (
	ErrFrameSize  = errors.New("remoting: frame length out of range")
	ErrHeaderSize = errors.New("remoting: header length exceeds its frame")
	ErrSerialize  = errors.New("remoting: unknown header form")
)

// ErrHeader is matched by every *HeaderError.
var ErrHeader = errors.New("remoting: malformed header")

// HeaderError is a header that cannot be understood inside a frame that is
// whole: the next frame may be fine.
type HeaderError struct {
	Token    Token // with what could be salvaged
	Answer   bool  // an opaque was found and the sender waits for an answer
	Response bool  // it says that it is a response itself
	Err      error
}

func (e *HeaderError) Error() string { return fmt.Sprintf("%v: %v", ErrHeader, e.Err) }

// Is reports whether target is ErrHeader.
func (e *HeaderError) Is(target error) bool { return target == ErrHeader }

// Unwrap returns the cause.
func (e *HeaderError) Unwrap() error { return e.Err }

// maxFields bounds extFields: real headers have at most 20, and a frame full of
// empty ones would take six times its size in memory.
const maxFields = 4096

// Decode reads a frame, without its 4 length bytes, into c and overwrites all of
// c; the capacity of c.Ext is reused. Strings and Body are views of the frame
// and of memory that the next Decode into c reuses.
//
// The errors are ErrFrameSize, ErrHeaderSize and ErrSerialize for a frame that
// is no frame, and *HeaderError for a bad header in a good frame.
func Decode(frame []byte, c *Command) error {
	*c = Command{Ext: c.Ext[:0], scratch: c.scratch[:0]}
	if len(frame) < 4 {
		return fmt.Errorf("%w: %d bytes", ErrFrameSize, len(frame))
	}
	word := binary.BigEndian.Uint32(frame)
	c.Serialize = Serialize(word >> 24)
	n := int(word & maxHeader)
	if c.Serialize > Binary {
		return fmt.Errorf("%w: %d", ErrSerialize, c.Serialize)
	}
	if n > len(frame)-4 {
		return fmt.Errorf("%w: %d of %d bytes", ErrHeaderSize, n, len(frame)-4)
	}
	h := frame[4 : 4+n]
	c.Body = frame[4+n : len(frame) : len(frame)]
	var err error
	if c.Serialize == Binary {
		err = c.decodeBinary(h)
	} else {
		err = c.decodeJSON(h)
	}
	if err != nil {
		return salvage(c.Serialize, h, err)
	}
	return nil
}

// decodeJSON tries the fast decoder, and takes the thorough one for whatever
// that does not understand.
func (c *Command) decodeJSON(h []byte) error {
	if c.decodeFast(h) {
		return nil
	}
	return c.decodeSlow(h)
}

// salvage looks for what an error reply needs in a header that did not decode.
func salvage(s Serialize, h []byte, cause error) *HeaderError {
	e := &HeaderError{Token: Token{Serialize: s}, Err: cause}
	var opaque, flag int32
	var found bool
	if s == Binary {
		if found = len(h) >= binaryOpaqueAt+8; found {
			opaque = int32(binary.BigEndian.Uint32(h[binaryOpaqueAt:]))
			flag = int32(binary.BigEndian.Uint32(h[binaryOpaqueAt+4:]))
		}
	} else {
		opaque, found = findInt(h, `"opaque"`)
		flag, _ = findInt(h, `"flag"`)
	}
	e.Token.Opaque = opaque
	e.Token.Oneway = flag&FlagOneway != 0
	e.Response = flag&FlagResponse != 0
	e.Answer = found && !e.Token.Oneway && !e.Response
	return e
}

// findInt returns the integer behind the first occurrence of key and a colon.
func findInt(h []byte, key string) (int32, bool) {
	i := indexKey(h, key)
	if i < 0 {
		return 0, false
	}
	end := i
	for end < len(h) && (h[end] == '-' || isDigit(h[end])) {
		end++
	}
	v, err := strconv.ParseInt(string(h[i:end]), 10, 32)
	return int32(v), err == nil
}
