package message

import (
	"encoding/binary"
	"errors"
	"fmt"
	"iter"
)

// ErrBatch is returned, wrapped with the position, for a malformed batch body.
var ErrBatch = errors.New("message: malformed batch body")

// batchFixed is the size of a batch item without body and properties.
const batchFixed = 22

// BatchItem is one message inside the body of a batch send. Body and Properties
// are views of that body.
type BatchItem struct {
	Flag       int32
	Body       []byte
	Properties string
}

// Batch yields the messages in the body of a SEND_BATCH_MESSAGE request:
//
//	total size u32, magic u32, crc u32, flag u32, body length u32, body,
//	properties length u16, properties
//
// back to back, big endian. Magic and crc are sent as 0 and not looked at. The
// first malformed item is yielded as an error, and ends the iteration.
func Batch(b []byte) iter.Seq2[BatchItem, error] {
	return func(yield func(BatchItem, error) bool) {
		for at := 0; at < len(b); {
			item, n, err := batchItem(b[at:])
			if err != nil {
				yield(BatchItem{}, fmt.Errorf("%w at byte %d: %s", ErrBatch, at, err))
				return
			}
			if !yield(item, nil) {
				return
			}
			at += n
		}
	}
}

// batchItem reads the item at the start of b and returns its size.
func batchItem(b []byte) (item BatchItem, size int, err error) {
	be := binary.BigEndian
	if len(b) < batchFixed {
		return item, 0, fmt.Errorf("%d bytes left, an item has at least %d", len(b), batchFixed)
	}
	total := be.Uint32(b)
	if total < batchFixed || uint64(total) > uint64(len(b)) {
		return item, 0, fmt.Errorf("item of %d bytes, %d left", total, len(b))
	}
	b = b[:total:total]
	n := be.Uint32(b[16:])
	if uint64(n) > uint64(len(b)-batchFixed) {
		return item, 0, fmt.Errorf("body of %d bytes in an item of %d", n, total)
	}
	end := 20 + int(n)
	props := int(be.Uint16(b[end:]))
	if end+2+props != len(b) || props > MaxProperties {
		return item, 0, fmt.Errorf("properties of %d bytes in an item of %d", props, total)
	}
	item.Flag = int32(be.Uint32(b[12:]))
	item.Body = b[20:end:end]
	item.Properties = view(b[end+2:])
	return item, len(b), nil
}

// AppendBatchItem appends one item to a batch body. Like Append it fails only
// for a body or properties that the format cannot hold.
func AppendBatchItem(dst []byte, item *BatchItem) ([]byte, error) {
	m := Message{Body: item.Body, Properties: item.Properties}
	if err := m.Validate(); err != nil {
		return dst, err
	}
	be := binary.BigEndian
	dst = be.AppendUint32(dst, uint32(batchFixed+len(item.Body)+len(item.Properties)))
	dst = be.AppendUint64(dst, 0) // magic, crc
	dst = be.AppendUint32(dst, uint32(item.Flag))
	dst = be.AppendUint32(dst, uint32(len(item.Body)))
	dst = append(dst, item.Body...)
	dst = be.AppendUint16(dst, uint16(len(item.Properties)))
	return append(dst, item.Properties...), nil
}
