package cold

import (
	"errors"
	"fmt"
	"iter"

	"github.com/duelog/duelog/commitlog"
)

// Sizes of what a file is made of, in bytes, for programs that show one.
const (
	BlockHeaderSize = blockHeaderSize
	TableEntrySize  = tableEntrySize
)

// Layout is what header and footer of a file say.
type Layout struct {
	Lane      uint8
	Base      int64 // of header
	CreatedMs int64

	TableAt, FooterAt    int64 // in the file; 0 if the footer cannot be read
	Blocks               int
	Bytes, Records       int64 // of the stream
	MinFireMs, MaxFireMs int64
}

// Layout reads header and footer. What is damaged is zero; Damage tells why.
func (r *File) Layout() (l Layout, err error) {
	st, err := r.x.f.Stat()
	if err != nil {
		return l, fmt.Errorf("look into cold file: %w", err)
	}
	b := make([]byte, headerSize)
	if err := r.x.readAt(b, 0); err != nil && !isDamage(err) {
		return l, err
	}
	if h, _, err := decodeHeader(b); err == nil {
		l.Lane, l.Base, l.CreatedMs = h.lane, h.base, h.createdMs
	}
	at := st.Size() - footerSize
	if at < headerSize {
		return l, nil
	}
	b = make([]byte, footerSize)
	if err := r.x.readAt(b, at); err != nil && !isDamage(err) {
		return l, err
	}
	if f, err := decodeFooter(b); err == nil {
		l.TableAt, l.FooterAt, l.Blocks = f.tableAt, at, int(f.blocks)
		l.Bytes, l.Records, l.MinFireMs, l.MaxFireMs = f.size, f.records, f.minFireMs, f.maxFireMs
	}
	return l, nil
}

// Blocks yields where the blocks stand, in the order of the file, those that are
// dead included.
func (r *File) Blocks() iter.Seq[BlockInfo] {
	return func(yield func(BlockInfo) bool) {
		for i := range r.x.blocks {
			if !yield(r.blockInfo(i)) {
				return
			}
		}
	}
}

func (r *File) blockInfo(i int) BlockInfo {
	bl := &r.x.blocks[i]
	from := r.x.info.Base + int64(bl.pos)
	return BlockInfo{Offset: int64(bl.at), Stored: int64(bl.stored), From: from, To: from + int64(bl.size), LastFireMs: bl.fireMs}
}

// BlockHeader is what a block says of itself beyond where it stands.
type BlockHeader struct {
	Records int64
	Zstd    bool // compressed; else it is stored as it is
	Void    bool // no records: it stands for a part of the stream that is lost
}

// Header reads the header of a block. Damage is a *commitlog.CorruptionError.
func (r *File) Header(b BlockInfo) (BlockHeader, error) {
	raw := make([]byte, blockHeaderSize)
	if err := r.x.readAt(raw, b.Offset); err != nil {
		return BlockHeader{}, err
	}
	h, err := decodeBlockHeader(raw)
	if err != nil {
		return BlockHeader{}, corrupt(r.x.path, b.Offset, err)
	}
	return BlockHeader{Records: int64(h.records), Zstd: h.codec == codecZstd, Void: h.codec == codecVoid}, nil
}

// RecordsOf yields the records of one block as Records does.
func (r *File) RecordsOf(b BlockInfo) iter.Seq2[commitlog.Item, error] {
	return func(yield func(commitlog.Item, error) bool) {
		if i := r.x.find(b.From - r.x.info.Base); i >= 0 {
			r.yieldRecords(i, yield)
		}
	}
}

// Record returns the record whose payload begins at lane offset off, and the
// payload, as View does. An offset at which none begins is, if that can be seen at
// all, commitlog.ErrRange: nothing in a block says where its records begin.
func (r *File) Record(off int64) (it commitlog.Item, payload []byte, err error) {
	pos := off - commitlog.RecordHeaderSize - r.x.info.Base
	if i := r.x.find(pos); i >= 0 && pos >= r.x.info.DeadTo {
		b, err := r.block(i)
		if err != nil {
			return it, nil, err
		}
		if it, err = commitlog.ParseRecordHeader(r.x.blocks[i].tail(b, pos)); err != nil {
			return it, nil, errors.Join(commitlog.ErrRange, err)
		}
	}
	it.Loc = commitlog.MakeLoc(r.lane, off)
	payload, err = r.View(off, it.Size)
	return it, payload, err
}
