package cold

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/internal/durable"
	"github.com/duelog/duelog/internal/runfile"
)

// syncEvery bounds the burst that a writer puts in front of the commit log's own
// syncs on the same disk.
const syncEvery = 4 << 20

// Writer writes one file, in fire order. One goroutine uses it and ends it with
// Finish or Abort.
type Writer struct {
	set   *Set
	base  int64
	path  string
	f     *os.File
	out   *bufio.Writer
	at    int64 // in the file
	dirty int64 // bytes since the last sync

	block []byte // records of the block in the making, which ends before target bytes
	head  blockHeader
	buf   []byte // the finished block
	table []byte
	foot  footer

	target int
}

// Create begins the file of the segment with that base. Until Finish it has a
// temporary name.
func (s *Set) Create(base, createdMs int64) (*Writer, error) {
	if err := durable.MakeDir(s.dir); err != nil {
		return nil, fmt.Errorf("create cold file: %w", err)
	}
	path := filepath.Join(s.dir, fileName(base))
	f, err := durable.Create(path + tmpSuffix)
	if err != nil {
		return nil, fmt.Errorf("create cold file: %w", err)
	}
	w := &Writer{set: s, base: base, path: path, f: f, out: bufio.NewWriterSize(durable.Writer(f), 256<<10), target: s.o.BlockBytes}
	h := header{lane: s.o.Lane, base: base, createdMs: createdMs}
	if err := w.write(h.encode()); err != nil {
		return nil, errors.Join(err, w.Abort())
	}
	return w, nil
}

// Append adds a scheduled record, whose fire time is not before that of the last
// one, and returns the lane offset of its payload. After an error only Abort helps.
func (w *Writer) Append(r *commitlog.Record) (off int64, err error) {
	n := commitlog.RecordHeaderSize + len(r.Payload)
	if r.When < w.foot.maxFireMs || r.Flags&commitlog.FlagScheduled == 0 {
		panic("BUG: cold file was given a record out of fire order")
	}
	if n > maxBlock || w.foot.size+int64(n) > w.set.o.SegmentSize {
		return 0, fmt.Errorf("append %d bytes to cold file %s: %w", n, w.path, commitlog.ErrTooLarge)
	}
	if len(w.block) > 0 && len(w.block)+n > w.target {
		if err := w.endBlock(); err != nil {
			return 0, err
		}
	}
	if w.foot.records == 0 {
		w.foot.minFireMs = r.When
	}
	off = w.base + w.foot.size + commitlog.RecordHeaderSize
	w.block = commitlog.AppendRecord(w.block, r)
	w.head.records++
	w.head.lastFireMs = r.When
	w.foot.records++
	w.foot.maxFireMs = r.When
	w.foot.size += int64(n)
	return off, nil
}

// Skip leaves n bytes of the stream without records, at least RecordHeaderSize: what
// is appended next has its place behind them. A copy of a file in which not every
// record can be read keeps the locations of the others so.
func (w *Writer) Skip(n int64) error {
	if n < commitlog.RecordHeaderSize {
		panic(fmt.Sprintf("BUG: cold file was told to skip %d bytes", n))
	}
	if w.foot.size+n > w.set.o.SegmentSize {
		return fmt.Errorf("skip %d bytes of cold file %s: %w", n, w.path, commitlog.ErrTooLarge)
	}
	if err := w.endBlock(); err != nil {
		return err
	}
	for n > 0 {
		size := min(n, maxBlock)
		if rest := n - size; rest > 0 && rest < commitlog.RecordHeaderSize {
			size -= commitlog.RecordHeaderSize
		}
		w.buf = append(w.buf[:0], make([]byte, blockHeaderSize)...)
		w.head.codec, w.head.size, w.head.lastFireMs = codecVoid, uint32(size), w.foot.maxFireMs
		if err := w.writeBlock(); err != nil {
			return err
		}
		w.foot.size += size
		n -= size
	}
	return nil
}

// Size is how many bytes of the stream there are, those that were skipped included.
func (w *Writer) Size() int64 { return w.foot.size }

// endBlock compresses and writes the block in the making, if there is one.
func (w *Writer) endBlock() error {
	if len(w.block) == 0 {
		return nil
	}
	w.buf = append(w.buf[:0], make([]byte, blockHeaderSize)...)
	if w.set.o.Raw {
		w.buf, w.head.codec = append(w.buf, w.block...), codecRaw
	} else {
		w.buf, w.head.codec = w.set.codec.compress(w.buf, w.block)
	}
	w.head.size = uint32(len(w.block))
	w.block = w.block[:0]
	return w.writeBlock()
}

// writeBlock writes the block that stands in buf, behind room for its header.
func (w *Writer) writeBlock() error {
	h := &w.head
	h.stored = uint32(len(w.buf) - blockHeaderSize)
	h.seal(w.buf)
	w.table = le.AppendUint64(w.table, uint64(w.at))
	w.table = le.AppendUint64(w.table, uint64(h.pos))
	w.table = le.AppendUint64(w.table, uint64(h.lastFireMs))
	w.foot.blocks++
	if err := w.write(w.buf); err != nil {
		return err
	}
	w.head = blockHeader{pos: h.pos + int64(h.size)}
	return nil
}

func (w *Writer) write(b []byte) error {
	n, err := w.out.Write(b)
	w.at += int64(n)
	if err == nil && w.at > maxFile {
		err = commitlog.ErrTooLarge
	}
	if w.dirty += int64(n); err == nil && w.dirty >= syncEvery {
		err = w.sync()
	}
	if err != nil {
		return fmt.Errorf("write cold file %s: %w", w.path, err)
	}
	return nil
}

func (w *Writer) sync() error {
	w.dirty = 0
	if err := w.out.Flush(); err != nil {
		return err
	}
	return durable.Datasync(w.f)
}

// Records is how many were appended.
func (w *Writer) Records() int64 { return w.foot.records }

// Finish makes the file durable under its name. Nobody refers to it yet. Without
// a record there is no file, and the Info says so. After an error there is none either.
func (w *Writer) Finish() (Info, error) {
	if w.foot.records == 0 {
		return Info{Base: w.base}, w.Abort()
	}
	err := w.end()
	if err = errors.Join(err, w.f.Close()); err != nil {
		return Info{}, errors.Join(fmt.Errorf("finish cold file: %w", err), durable.Remove(w.path+tmpSuffix))
	}
	if err := durable.Rename(w.path+tmpSuffix, w.path); err != nil {
		return Info{}, errors.Join(fmt.Errorf("publish cold file: %w", err), durable.Remove(w.path+tmpSuffix))
	}
	if err := durable.SyncDir(w.set.dir); err != nil {
		return Info{}, errors.Join(fmt.Errorf("publish cold file: %w", err), durable.Remove(w.path))
	}
	return Info{
		Base: w.base, Size: w.foot.size, FileSize: w.at, Records: w.foot.records,
		MinFireMs: w.foot.minFireMs, MaxFireMs: w.foot.maxFireMs,
	}, nil
}

// end writes the last block, the table and the footer.
func (w *Writer) end() error {
	if err := w.endBlock(); err != nil {
		return err
	}
	w.foot.tableAt, w.foot.tableCRC = w.at, runfile.Checksum(w.table)
	if err := w.write(w.table); err != nil {
		return err
	}
	if err := w.write(w.foot.encode()); err != nil {
		return err
	}
	return w.sync()
}

// Abort removes what was written.
func (w *Writer) Abort() error {
	return errors.Join(w.f.Close(), durable.Remove(w.path+tmpSuffix))
}
