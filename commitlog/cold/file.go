package cold

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"sort"
	"sync"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/internal/runfile"
)

// Info is what the owner registers about a file.
type Info struct {
	Base      int64 // lane offset at which its stream begins
	Size      int64 // bytes of the stream
	FileSize  int64 // bytes of the file
	Records   int64
	MinFireMs int64 // fire time of the first record
	MaxFireMs int64 // fire time of the last record
	DeadTo    int64 // bytes of the stream that are given up; Size = all
	KeepMs    int64 // nothing in it counts as fired before this time
}

// block is where a block stands. Those of a file are sorted by each field.
type block struct {
	fireMs int64  // of its last record
	at     uint32 // offset in the file
	pos    uint32 // in the stream
	stored uint32 // bytes in the file, its header included
	size   uint32 // bytes in the stream
}

// tail is what the block with the expanded bytes b has from a place of the stream on
// that is in it: nothing if it has no records.
func (bl *block) tail(b []byte, pos int64) []byte { return b[min(pos-int64(bl.pos), int64(len(b))):] }

// file is an open cold file. All but info is constant.
type file struct {
	path   string
	f      *os.File // nil if it is lost
	lost   error    // why; nil if it is not
	blocks []block
	info   Info // guarded by Set.mu
}

// openFile opens a registered file. Damage does not fail it: what can be read is
// read, and the rest is reported by report and by those who want it.
func openFile(path string, lane uint8, info Info, report func(error)) (*file, error) {
	x := &file{path: path, info: info}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if errors.Is(err, fs.ErrNotExist) {
		x.lost = corrupt(path, 0, fs.ErrNotExist)
		report(x.lost)
		return x, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open cold file: %w", err)
	}
	x.f = f
	if err := x.load(lane, report); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return x, nil
}

// load checks the header and finds the blocks, by the table or without it.
func (x *file) load(lane uint8, report func(error)) error {
	st, err := x.f.Stat()
	if err != nil {
		return fmt.Errorf("open cold file: %w", err)
	}
	if err := x.checkHeader(lane); err != nil {
		if !isDamage(err) {
			return err
		}
		report(err) // the blocks have checksums of their own
	}
	err = x.loadTable(st.Size())
	if isDamage(err) {
		report(err)
		err = x.walk(st.Size())
	}
	return err
}

func isDamage(err error) bool {
	var bad *commitlog.CorruptionError
	return errors.As(err, &bad)
}

func (x *file) checkHeader(lane uint8) error {
	b := make([]byte, headerSize)
	if err := x.readAt(b, 0); err != nil {
		return err
	}
	h, newer, err := decodeHeader(b)
	switch {
	case newer > 0:
		return &VersionError{Path: x.path, Version: newer}
	case err != nil:
		return corrupt(x.path, 0, err)
	case h.lane != lane || h.base != x.info.Base:
		return corrupt(x.path, 0, fmt.Errorf("%w: header is not that of the registered file", ErrLayout))
	}
	return nil
}

// loadTable reads the block table. What it allocates is bounded by the file.
func (x *file) loadTable(size int64) error {
	if size < headerSize+footerSize {
		return corrupt(x.path, size, ErrTruncated)
	}
	b := make([]byte, footerSize)
	at := size - footerSize
	if err := x.readAt(b, at); err != nil {
		return err
	}
	foot, err := decodeFooter(b)
	if err != nil {
		return corrupt(x.path, at, err)
	}
	if foot.tableAt < headerSize || foot.tableAt+int64(foot.blocks)*tableEntrySize != at || size > maxFile || foot.size > maxFile || !x.info.agrees(&foot) {
		return corrupt(x.path, at, fmt.Errorf("%w: footer does not fit the file", ErrLayout))
	}
	b = make([]byte, at-foot.tableAt)
	if err := x.readAt(b, foot.tableAt); err != nil {
		return err
	}
	if runfile.Checksum(b) != foot.tableCRC {
		return corrupt(x.path, foot.tableAt, ErrChecksum)
	}
	if err := x.decodeTable(b, &foot); err != nil {
		return corrupt(x.path, foot.tableAt, err)
	}
	return nil
}

func (i *Info) agrees(f *footer) bool {
	return f.size == i.Size && f.records == i.Records && f.minFireMs == i.MinFireMs && f.maxFireMs == i.MaxFireMs && f.blocks > 0
}

// decodeTable turns the table's entries into blocks that reach from each to the
// next, after a check that they can be.
func (x *file) decodeTable(b []byte, foot *footer) error {
	at := func(i uint32, field int) int64 { return int64(le.Uint64(b[int(i)*tableEntrySize+field:])) }
	blocks := make([]block, foot.blocks)
	nextAt, nextPos := int64(headerSize), int64(0)
	for i := range foot.blocks {
		end, posEnd := foot.tableAt, foot.size
		if i+1 < foot.blocks {
			end, posEnd = at(i+1, 0), at(i+1, 8)
		}
		stored, size := end-nextAt, posEnd-nextPos
		if at(i, 0) != nextAt || at(i, 8) != nextPos || stored < blockHeaderSize || size < 1 || size > maxBlock || stored > size+blockHeaderSize {
			return fmt.Errorf("%w: block %d", ErrLayout, i)
		}
		blocks[i] = block{fireMs: at(i, 16), at: uint32(nextAt), pos: uint32(nextPos), stored: uint32(stored), size: uint32(size)}
		if i > 0 && blocks[i].fireMs < blocks[i-1].fireMs {
			return fmt.Errorf("%w: block %d fires before the one before it", ErrLayout, i)
		}
		nextAt, nextPos = end, posEnd
	}
	x.blocks = blocks
	return nil
}

// end is where the last block ends in the stream.
func (x *file) end() int64 {
	if len(x.blocks) == 0 {
		return 0
	}
	last := &x.blocks[len(x.blocks)-1]
	return int64(last.pos) + int64(last.size)
}

// find returns the number of the block that has the byte at pos, -1 if none has.
func (x *file) find(pos int64) int {
	i := sort.Search(len(x.blocks), func(i int) bool { return int64(x.blocks[i].pos) > pos }) - 1
	if i < 0 || pos >= int64(x.blocks[i].pos)+int64(x.blocks[i].size) {
		return -1
	}
	return i
}

// read brings a block from disk and expands it. One without records is empty.
func (x *file) read(i int, c *codec) ([]byte, error) {
	buf := storedPool.Get().(*[]byte)
	defer recycle(buf)
	if err := x.fetch(i, buf); err != nil {
		return nil, err
	}
	return x.expand(i, *buf, c)
}

// storedPool has buffers for blocks as they are stored.
var storedPool = sync.Pool{New: func() any { return new([]byte) }}

// recycle gives a buffer back, unless it is one of the few large ones.
func recycle(buf *[]byte) {
	if cap(*buf) <= 4*blockTarget {
		storedPool.Put(buf)
	}
}

// fetch reads a block, header included, into buf.
func (x *file) fetch(i int, buf *[]byte) error {
	bl := &x.blocks[i]
	*buf = slices.Grow((*buf)[:0], int(bl.stored))[:bl.stored]
	return x.readAt(*buf, int64(bl.at))
}

// expand verifies a block that was fetched and returns what it stands for.
func (x *file) expand(i int, b []byte, c *codec) ([]byte, error) {
	bl := &x.blocks[i]
	h, err := decodeBlockHeader(b)
	if err == nil {
		err = h.verify(b)
	}
	if err == nil && (h.pos != int64(bl.pos) || h.size != bl.size) {
		err = fmt.Errorf("%w: block is not the one of the table", ErrLayout)
	}
	var out []byte
	if err == nil {
		out, err = c.expand(b[blockHeaderSize:], h.codec, int(h.size))
	}
	if err != nil {
		return nil, corrupt(x.path, int64(bl.at), err)
	}
	return out, nil
}

func (x *file) readAt(b []byte, off int64) error {
	n, err := x.f.ReadAt(b, off)
	switch {
	case errors.Is(err, io.EOF):
		return corrupt(x.path, off+int64(n), ErrTruncated)
	case err != nil:
		return fmt.Errorf("read cold file %s: %w", x.path, err)
	}
	return nil
}
