package cold

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"os"
	"path/filepath"

	"github.com/duelog/duelog/commitlog"
)

// File is one cold file for programs that look into a store without opening it. It
// takes no lock and changes nothing, and may be used on a store that a broker has.
// Besides the list of blocks it keeps the last decoded block. It belongs to one
// goroutine.
type File struct {
	x      *file
	codec  *codec
	lane   uint8
	damage []error
	last   int    // number of the block in data
	data   []byte // nil: none
}

// BlockInfo is where a block stands.
type BlockInfo struct {
	Offset     int64 // in the file
	Stored     int64 // bytes in the file, its header included
	From, To   int64 // lane offsets of its part of the stream
	LastFireMs int64 // fire time of its last record
}

// BlockError reports a part of the stream that cannot be read. It unwraps to a
// *commitlog.CorruptionError.
type BlockError struct {
	Path     string
	Offset   int64 // in the file: where the block is, or should be
	From, To int64 // lane offsets of what is lost
	Err      error
}

// Error names the file and the place.
func (e *BlockError) Error() string {
	return fmt.Sprintf("lane offsets %d to %d: %v", e.From, e.To, e.Unwrap())
}

// Unwrap returns it as damage like any other.
func (e *BlockError) Unwrap() error { return corrupt(e.Path, e.Offset, e.Err) }

// OpenFile opens the cold file at path to read it. info is what the owner of the
// file registered, and nil takes what the file says of itself. Damage to header or
// table does not fail it: see Damage. A missing file is fs.ErrNotExist, one of a
// newer release a *VersionError.
func OpenFile(path string, lane uint8, info *Info) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open cold file: %w", err)
	}
	r := &File{x: &file{path: path, f: f}, lane: lane}
	if info != nil {
		r.x.info = *info
	} else {
		err = r.x.ownInfo()
	}
	if err == nil {
		err = r.x.load(lane, func(err error) { r.damage = append(r.damage, err) })
	}
	if err == nil && r.x.info.Size == maxFile {
		r.x.info.Size = r.x.end()
	}
	if err == nil {
		r.codec, err = newCodec(1)
	}
	if err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

// ownInfo takes the info from name and footer. Without a footer the end of the
// stream is that of the last block, which is not known yet: as far as can be.
func (x *file) ownInfo() error {
	st, err := x.f.Stat()
	if err != nil {
		return fmt.Errorf("open cold file: %w", err)
	}
	base, ok := parseName(filepath.Base(x.path))
	if !ok {
		return fmt.Errorf("open cold file %s: its name is not %d digits: %w", x.path, nameDigits, fs.ErrInvalid)
	}
	x.info = Info{Base: base, FileSize: st.Size(), Size: maxFile}
	if st.Size() < headerSize+footerSize {
		return nil
	}
	b := make([]byte, footerSize)
	if err := x.readAt(b, st.Size()-footerSize); err != nil {
		return err
	}
	if foot, err := decodeFooter(b); err == nil {
		x.info.Size, x.info.Records, x.info.MinFireMs, x.info.MaxFireMs = foot.size, foot.records, foot.minFireMs, foot.maxFireMs
	}
	return nil
}

// Info is what was registered, or what the file says of itself.
func (r *File) Info() Info { return r.x.info }

// Damage is what is wrong with header and table, each a *commitlog.CorruptionError.
// The records do not depend on them.
func (r *File) Damage() []error { return r.damage }

// Records yields the records that are not dead, in fire order, which is that of
// their locations, with Loc set. What cannot be read comes as a *BlockError each, between the
// others; any other error is about the disk, and ends it. View reads the payload of
// the record that was yielded without reading the disk again.
func (r *File) Records() iter.Seq2[commitlog.Item, error] {
	return func(yield func(commitlog.Item, error) bool) {
		next, at := r.x.info.DeadTo, int64(headerSize) // in the stream, in the file
		for i := range r.x.blocks {
			bl := &r.x.blocks[i]
			end := int64(bl.pos) + int64(bl.size)
			if end <= next {
				at = int64(bl.at) + int64(bl.stored)
				continue
			}
			if int64(bl.pos) > next && !yield(commitlog.Item{}, r.lost(at, next, int64(bl.pos), ErrLost)) {
				return
			}
			if !r.yieldRecords(i, yield) {
				return
			}
			next, at = end, int64(bl.at)+int64(bl.stored)
		}
		if size := r.x.info.Size; next < size {
			yield(commitlog.Item{}, r.lost(at, next, size, ErrLost))
		}
	}
}

// yieldRecords yields the records of a block, or why there are none.
func (r *File) yieldRecords(i int, yield func(commitlog.Item, error) bool) bool {
	bl := &r.x.blocks[i]
	from, to := int64(bl.pos), int64(bl.pos)+int64(bl.size)
	b, err := r.block(i)
	if err != nil {
		if reason := (*commitlog.CorruptionError)(nil); errors.As(err, &reason) {
			return yield(commitlog.Item{}, r.lost(reason.Offset, from, to, reason.Err))
		}
		yield(commitlog.Item{}, err)
		return false
	}
	end := r.x.info.Base + from
	return r.x.yieldBlock(i, b, r.lane, func(it commitlog.Item, err error) bool {
		if err != nil { // the checksum is right, so it was written so
			return yield(it, r.lost(int64(bl.at), end-r.x.info.Base, to, ErrLayout))
		}
		end = it.Loc.Offset() + int64(it.Size)
		return yield(it, nil)
	})
}

func (r *File) lost(at, from, to int64, err error) error {
	return &BlockError{Path: r.x.path, Offset: at, From: r.x.info.Base + from, To: r.x.info.Base + to, Err: err}
}

// block returns a decoded block.
func (r *File) block(i int) ([]byte, error) {
	if r.data != nil && r.last == i {
		return r.data, nil
	}
	b, err := r.x.read(i, r.codec)
	if err == nil {
		r.data, r.last = b, i
	}
	return b, err
}

// Remains returns what can be expanded of the block with the byte at lane offset
// off although it is damaged: perhaps not all of it, and any byte may be wrong, so
// whoever asks must be able to tell a good record from a bad one. The first byte
// stands at the lane offset where the block begins. nil: there is nothing.
func (r *File) Remains(off int64) []byte {
	i := r.x.find(off - r.x.info.Base)
	if i < 0 {
		return nil
	}
	bl := &r.x.blocks[i]
	b := make([]byte, bl.stored)
	if r.x.readAt(b, int64(bl.at)) != nil {
		return nil
	}
	return r.codec.remains(b[blockHeaderSize:], int(bl.size))
}

// Block tells where the block with the byte at lane offset off stands.
func (r *File) Block(off int64) (BlockInfo, bool) {
	i := r.x.find(off - r.x.info.Base)
	if i < 0 {
		return BlockInfo{}, false
	}
	return r.blockInfo(i), true
}

// View returns the size bytes of the payload at lane offset off, which must not be
// changed and stay valid. What is dead is commitlog.ErrNotFound, damage a
// *commitlog.CorruptionError, and a size that is not that of the record there
// commitlog.ErrRange.
func (r *File) View(off int64, size int32) ([]byte, error) {
	pos := off - commitlog.RecordHeaderSize - r.x.info.Base
	if pos < r.x.info.DeadTo || pos >= r.x.info.Size {
		return nil, fmt.Errorf("%v: %w", commitlog.MakeLoc(r.lane, off), commitlog.ErrNotFound)
	}
	i := r.x.find(pos)
	if i < 0 {
		return nil, corrupt(r.x.path, 0, fmt.Errorf("%w: the one at %d of the stream", ErrLost, pos))
	}
	b, err := r.block(i)
	if err != nil {
		return nil, err
	}
	b = r.x.blocks[i].tail(b, pos)
	it, err := commitlog.ParseRecordHeader(b)
	if n := int64(commitlog.RecordHeaderSize) + int64(size); err != nil || size < 0 || it.Size != size || n > int64(len(b)) {
		return nil, fmt.Errorf("view %d bytes at %v: %w", size, commitlog.MakeLoc(r.lane, off), commitlog.ErrRange)
	}
	return b[commitlog.RecordHeaderSize:][:size:size], nil
}

// Close closes the file.
func (r *File) Close() error {
	r.codec.close()
	return r.x.close()
}
