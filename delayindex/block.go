package delayindex

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"sort"
)

// Part of the file format, see the package comment; do not change.
const (
	blockEntries    = 2048
	blockHeaderSize = 48
	columnCount     = 6
	// maxRowSize is that of a row whose columns all need their full width.
	maxRowSize = EntrySize
	// rowSlack is what may be read, or written, behind a row: columns are moved as
	// words of 8 bytes, whatever their width.
	rowSlack = 8

	maxBlockBytes = blockHeaderSize + blockEntries*maxRowSize
)

// columnWidths are the most bytes that each column takes.
var columnWidths = [columnCount]int{8, 8, 4, 4, 4, 4}

// blockBuffer has room for a block as it stands in a file, and the slack.
type blockBuffer [maxBlockBytes + rowSlack]byte

// columns are the fields of an entry: when, loc, size, queue, tag, key.
type columns [columnCount]uint64

// columnsOf takes the columns of e; its when is shifted right.
func columnsOf(e *Entry, shift uint) columns {
	return columns{e.When >> shift, e.Loc, uint64(e.Size), uint64(e.Queue), uint64(e.Tag), uint64(e.Key)}
}

// layout says how the rows of a block are read: column c of a row is base[c] and
// what its width[c] bytes add to it. All rows of a block have the same size, so an
// entry is found without reading those before it.
type layout struct {
	shift uint // of when: flagBits when no entry has a flag, or 0
	base  columns
	width [columnCount]int
}

// version1 is the layout of all blocks of format version 1, which have no header.
var version1 = layout{width: columnWidths}

// rowSize is in bytes.
func (l *layout) rowSize() int {
	n := 0
	for _, w := range l.width {
		n += w
	}
	return n
}

// layoutFor returns the smallest layout for es, which are not empty.
func layoutFor(es []Entry) layout {
	lo, hi, flags := bounds(es)
	l := layout{}
	if flags == 0 {
		l.shift = flagBits
	}
	l.base = columnsOf(&lo, l.shift)
	for k, most := range columnsOf(&hi, l.shift) {
		l.width[k] = (bits.Len64(most-l.base[k]) + 7) / 8
	}
	return l
}

// bounds returns the least and the largest of each field, and all flags.
func bounds(es []Entry) (lo, hi Entry, flags uint16) {
	lo, hi = es[0], es[0]
	for i := range es {
		e := &es[i]
		flags |= uint16(e.When)
		lo.When, hi.When = min(lo.When, e.When), max(hi.When, e.When)
		lo.Loc, hi.Loc = min(lo.Loc, e.Loc), max(hi.Loc, e.Loc)
		lo.Size, hi.Size = min(lo.Size, e.Size), max(hi.Size, e.Size)
		lo.Queue, hi.Queue = min(lo.Queue, e.Queue), max(hi.Queue, e.Queue)
		lo.Tag, hi.Tag = min(lo.Tag, e.Tag), max(hi.Tag, e.Tag)
		lo.Key, hi.Key = min(lo.Key, e.Key), max(hi.Key, e.Key)
	}
	return lo, hi, flags
}

// encodeBlock writes the block of es, which are not empty, into buf and returns its
// bytes.
func encodeBlock(buf *blockBuffer, es []Entry) []byte {
	l := layoutFor(es)
	l.encode(buf[:blockHeaderSize], len(es))
	b := newBlock(l, buf[blockHeaderSize:], len(es))
	b.encode(es)
	return buf[:blockHeaderSize+len(es)*b.size]
}

// encode writes the rows. Of each word, what is beyond its column is written over
// by the next.
func (b *block) encode(es []Entry) {
	le := binary.LittleEndian
	at, base := &b.at, &b.base
	for i := range es {
		row := b.rows[i*b.size : i*b.size+b.size+rowSlack]
		e := &es[i]
		le.PutUint64(row[at[0]:], e.When>>b.shift-base[0])
		le.PutUint64(row[at[1]:], e.Loc-base[1])
		le.PutUint64(row[at[2]:], uint64(e.Size)-base[2])
		le.PutUint64(row[at[3]:], uint64(e.Queue)-base[3])
		le.PutUint64(row[at[4]:], uint64(e.Tag)-base[4])
		le.PutUint64(row[at[5]:], uint64(e.Key)-base[5])
	}
}

func (l *layout) encode(b []byte, rows int) {
	clear(b)
	b[0] = byte(l.shift)
	for k, w := range l.width {
		b[1+k] = byte(w)
	}
	le := binary.LittleEndian
	le.PutUint64(b[8:], l.base[0])
	le.PutUint64(b[16:], l.base[1])
	for k := 2; k < columnCount; k++ {
		le.PutUint32(b[16+4*k:], uint32(l.base[k]))
	}
	le.PutUint32(b[40:], uint32(rows))
}

// decode reads a header of blockHeaderSize bytes.
func (l *layout) decode(b []byte) (rows int, err error) {
	le := binary.LittleEndian
	if l.shift = uint(b[0]); l.shift != 0 && l.shift != flagBits {
		return 0, fmt.Errorf("%w: block shifts times by %d bits", ErrLayout, l.shift)
	}
	for k := range l.width {
		if l.width[k] = int(b[1+k]); l.width[k] > columnWidths[k] {
			return 0, fmt.Errorf("%w: column %d of a block has %d bytes", ErrLayout, k, l.width[k])
		}
	}
	l.base[0], l.base[1] = le.Uint64(b[8:]), le.Uint64(b[16:])
	for k := 2; k < columnCount; k++ {
		l.base[k] = uint64(le.Uint32(b[16+4*k:]))
	}
	return int(le.Uint32(b[40:])), nil
}

// block is one that was read: its rows, and how to read them.
type block struct {
	layout
	rows []byte // and the slack
	size int    // of a row
	n    int    // rows
	at   [columnCount]int
	mask [columnCount]uint64
}

// newBlock prepares the reading of n rows; rows has rowSlack bytes more.
func newBlock(l layout, rows []byte, n int) block {
	b := block{layout: l, rows: rows, size: l.rowSize(), n: n}
	at := 0
	for k, w := range l.width {
		b.at[k], b.mask[k] = at, ^uint64(0)>>(64-8*w) // of width 0 it is 0
		at += w
	}
	return b
}

// fire is the fire time of entry i.
func (b *block) fire(i int) uint64 {
	w := binary.LittleEndian.Uint64(b.rows[i*b.size+b.at[0]:])
	return (w&b.mask[0] + b.base[0]) << b.shift >> flagBits
}

// below returns how many entries fire before ms.
func (b *block) below(ms uint64) int {
	if b.n == 0 || b.fire(b.n-1) < ms {
		return b.n
	}
	return sort.Search(b.n, func(i int) bool { return b.fire(i) >= ms })
}

// decodeTo fills dst with entries from the i-th on; there are that many.
func (b *block) decodeTo(dst []Entry, i int) {
	le := binary.LittleEndian
	at, mask, base := &b.at, &b.mask, &b.base
	rows := b.rows[i*b.size:]
	for j := range dst {
		row := rows[j*b.size : j*b.size+b.size+rowSlack]
		e := &dst[j]
		e.When = (le.Uint64(row[at[0]:])&mask[0] + base[0]) << b.shift
		e.Loc = le.Uint64(row[at[1]:])&mask[1] + base[1]
		e.Size = uint32(le.Uint64(row[at[2]:])&mask[2] + base[2])
		e.Queue = uint32(le.Uint64(row[at[3]:])&mask[3] + base[3])
		e.Tag = uint32(le.Uint64(row[at[4]:])&mask[4] + base[4])
		e.Key = uint32(le.Uint64(row[at[5]:])&mask[5] + base[5])
	}
}
