package cold

import (
	"fmt"

	"github.com/klauspost/compress/zstd"
)

// codec compresses and expands blocks; safe for concurrent use.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

// expandSlack behind the end of its output lets the decompressor copy in steps of 16
// bytes, which makes it a fifth faster.
const expandSlack = 16

// newCodec lets decoders blocks be expanded at a time.
func newCodec(decoders int) (*codec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false), zstd.WithLowerEncoderMem(true), zstd.WithWindowSize(256<<10))
	if err != nil {
		return nil, fmt.Errorf("make compressor: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(decoders), zstd.WithDecoderMaxMemory(maxBlock))
	if err != nil {
		return nil, fmt.Errorf("make decompressor: %w", err)
	}
	return &codec{enc: enc, dec: dec}, nil
}

// compress appends src in its stored form to dst.
func (c *codec) compress(dst, src []byte) ([]byte, uint8) {
	room := len(dst)
	dst = c.enc.EncodeAll(src, dst)
	if stored := len(dst) - room; stored*11 <= len(src)*10 {
		return dst, codecZstd
	}
	return append(dst[:room], src...), codecRaw
}

// expand returns the size bytes that b stands for, or none if there are no records
// in them. The result does not share b.
func (c *codec) expand(b []byte, kind uint8, size int) ([]byte, error) {
	switch kind {
	case codecRaw:
		if len(b) != size {
			return nil, fmt.Errorf("%w: raw block of %d bytes claims %d", ErrLayout, len(b), size)
		}
		return append(make([]byte, 0, size), b...), nil
	case codecZstd:
		out, err := c.dec.DecodeAll(b, make([]byte, 0, size+expandSlack))
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrLayout, err)
		}
		if len(out) != size {
			return nil, fmt.Errorf("%w: block expands to %d bytes instead of %d", ErrLayout, len(out), size)
		}
		return out, nil
	case codecVoid:
		if len(b) != 0 {
			return nil, fmt.Errorf("%w: void block has %d bytes", ErrLayout, len(b))
		}
		return []byte{}, nil
	}
	return nil, fmt.Errorf("%w: unknown codec %d", ErrLayout, kind)
}

// remains returns what can be expanded of b, whose checksum is wrong: less than size
// bytes perhaps, and any of them may be wrong.
func (c *codec) remains(b []byte, size int) []byte {
	if len(b) == size { // nothing that compresses is stored raw
		return b
	}
	out, _ := c.dec.DecodeAll(b, make([]byte, 0, size)) // up to where it is wrong
	return out[:min(len(out), size)]
}

func (c *codec) close() {
	c.dec.Close()
	_ = c.enc.Close() // it holds nothing back
}
