package cold

import (
	"bytes"
)

var blockMagicBytes = le.AppendUint32(nil, blockMagic)

// walkWindow is how much walk reads at a time while it looks for a block.
const walkWindow = 1 << 20

// walk finds the blocks of a file whose table is damaged by their own headers.
// Records in blocks that it does not find are lost.
func (x *file) walk(size int64) error {
	x.blocks = nil
	size = min(size, maxFile)
	for at := int64(headerSize); at+blockHeaderSize <= size; {
		b, err := x.blockAt(at, size)
		switch {
		case err == nil && x.follows(&b):
			x.blocks = append(x.blocks, b)
			at += int64(b.stored)
			continue
		case err != nil && !isDamage(err):
			return err
		}
		if at, err = x.nextMagic(at+1, size); err != nil {
			return err
		}
	}
	return nil
}

// follows reports whether b can stand behind the blocks that were found.
func (x *file) follows(b *block) bool {
	if int64(b.pos)+int64(b.size) > x.info.Size {
		return false
	}
	if len(x.blocks) == 0 {
		return true
	}
	last := &x.blocks[len(x.blocks)-1]
	return b.pos >= last.pos+last.size && b.fireMs >= last.fireMs
}

// blockAt reads and verifies the block at an offset of the file.
func (x *file) blockAt(at, size int64) (block, error) {
	b := make([]byte, blockHeaderSize)
	if err := x.readAt(b, at); err != nil {
		return block{}, err
	}
	h, err := decodeBlockHeader(b)
	if err == nil && at+blockHeaderSize+int64(h.stored) > size {
		err = ErrTruncated
	}
	if err != nil {
		return block{}, corrupt(x.path, at, err)
	}
	b = make([]byte, blockHeaderSize+int(h.stored))
	if err := x.readAt(b, at); err != nil {
		return block{}, err
	}
	if err := h.verify(b); err != nil {
		return block{}, corrupt(x.path, at, err)
	}
	return block{fireMs: h.lastFireMs, at: uint32(at), pos: uint32(h.pos), stored: uint32(len(b)), size: h.size}, nil
}

// nextMagic returns the first offset from at on where a block may start, or size.
func (x *file) nextMagic(at, size int64) (int64, error) {
	buf := make([]byte, min(walkWindow, max(size-at, 0)))
	for at+blockHeaderSize <= size {
		b := buf[:min(int64(len(buf)), size-at)]
		if err := x.readAt(b, at); err != nil {
			return 0, err
		}
		if i := bytes.Index(b, blockMagicBytes); i >= 0 {
			return at + int64(i), nil
		}
		at += int64(len(b) - len(blockMagicBytes) + 1)
	}
	return size, nil
}
