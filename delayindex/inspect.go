package delayindex

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"
	"sort"

	"github.com/duelog/duelog/internal/runfile"
)

// RunFile is a run opened on its own, by a program that looks into an index that
// it does not own. Its methods are for one goroutine. It reads by pread, and
// works on after the file was unlinked.
type RunFile struct {
	r         *run
	createdMs int64
	lane      uint8
	buf       blockBuffer
	block     block // read last
}

// OpenRunFile opens the run at path and checks all of it but the entries. Which
// run it is, the header says; the name must agree. Errors are those of Open.
func OpenRunFile(path string) (*RunFile, error) {
	f, err := runfile.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open run: %w", err)
	}
	rf := &RunFile{r: &run{path: path, f: f}}
	if err := rf.load(); err != nil {
		return nil, errors.Join(err, f.Release())
	}
	return rf, nil
}

func (f *RunFile) load() error {
	b := make([]byte, headerSize)
	if err := f.r.readAt(b, 0); err != nil {
		return err
	}
	// The checks proper are those of run.load; this only finds out what to expect.
	var h header
	if v := binary.LittleEndian.Uint16(b[8:]); v >= 1 && v <= runVersion && h.decode(b) == nil {
		f.r.info, f.lane, f.createdMs = h.RunInfo, h.lane, h.createdMs
	}
	if err := f.r.load(f.lane); err != nil {
		return err
	}
	if filepath.Base(f.r.path) != RunName(f.r.info) {
		return f.r.damaged(0, fmt.Errorf("%w: the file is the run %s", ErrLayout, RunName(f.r.info)))
	}
	return nil
}

// Info is what the header says.
func (f *RunFile) Info() RunInfo { return f.r.info }

// Lane is the lane whose entries the run has.
func (f *RunFile) Lane() uint8 { return f.lane }

// CreatedMs is when the run was written.
func (f *RunFile) CreatedMs() int64 { return f.createdMs }

// Blocks is the number of blocks of entries.
func (f *RunFile) Blocks() int64 { return int64(len(f.r.fences)) }

// Version is the version of the file's format.
func (f *RunFile) Version() uint16 { return f.r.version }

// Bytes is the size of the file.
func (f *RunFile) Bytes() int64 { return f.r.size }

// BlockOffset is where block i begins in the file.
func (f *RunFile) BlockOffset(i int64) int64 { return f.r.fences[i].at }

// RowOffset is where entry j of block i, which was read last, begins in the file.
func (f *RunFile) RowOffset(i int64, j int) int64 {
	l := f.Layout()
	return f.BlockOffset(i) + int64(l.Header+j*l.Row)
}

// Block reads and checks block i and appends its entries to dst, in (fire time,
// loc) order. A damaged one is a *CorruptionError; the others can still be read.
func (f *RunFile) Block(i int64, dst []Entry) ([]Entry, error) {
	b, err := f.r.readBlock(i, &f.buf)
	if err != nil {
		return dst, err
	}
	f.block = b
	n := len(dst)
	dst = append(dst, make([]Entry, b.n)...)
	b.decodeTo(dst[n:], 0)
	return dst, nil
}

// BlockLayout says how the entries of a block stand in the file: in rows of Row
// bytes behind a header, field k at byte At[k] of a row, as Width[k] bytes that add
// to Base[k]. The fields are when (shifted right by Shift bits), loc, size, queue,
// tag, key.
type BlockLayout struct {
	Header, Row int // bytes; Header is 0 in version 1 of the format
	Shift       uint
	At, Width   [columnCount]int
	Base        [columnCount]uint64
}

// Layout is that of the block that was read last.
func (f *RunFile) Layout() BlockLayout {
	b := &f.block
	l := BlockLayout{Header: blockHeaderSize, Row: b.size, Shift: b.shift, At: b.at, Width: b.width, Base: b.base}
	if f.r.version == 1 {
		l.Header = 0
	}
	return l
}

// FirstBlock is the first block that can hold an entry that fires at ms or later.
func (f *RunFile) FirstBlock(ms int64) int64 {
	n := sort.Search(len(f.r.fences), func(i int) bool { return int64(f.r.fences[i].first) >= ms })
	return int64(max(n-1, 0))
}

// Close closes the file.
func (f *RunFile) Close() error { return f.r.f.Release() }
