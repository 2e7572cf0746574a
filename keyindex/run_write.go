package keyindex

import (
	"encoding/binary"
	"fmt"

	"github.com/duelog/duelog/internal/durable"
	"github.com/duelog/duelog/internal/runfile"
)

// source yields entries in (hash, loc) order.
type source interface {
	// next fills dst, which is not empty; less than all of it is the end.
	next(dst []Entry) (int, error)
}

// writeRun makes the file of a run at path, durable and published, and fills in
// h.Count. Without an entry there is no file. size is reserved first.
func writeRun(path string, h *header, src source, size int64) error {
	w := runWriter{src: src}
	err := runfile.Write(path, size, func(f *runfile.Writer) error {
		w.f = f
		return w.writeAll(h)
	})
	switch {
	case err != nil:
		return err
	case h.Count == 0:
		return durable.Remove(path + runfile.TmpSuffix)
	}
	return runfile.Publish(path)
}

// runWriter writes one file: room for the header, blocks, fences, header.
type runWriter struct {
	f      *runfile.Writer
	src    source
	fences []byte
	batch  [blockEntries]Entry
	raw    [blockBytes]byte
}

func (w *runWriter) writeAll(h *header) error {
	if _, err := w.f.Write(make([]byte, headerSize)); err != nil {
		return err
	}
	for n := blockEntries; n == blockEntries; {
		var err error
		if n, err = w.writeBlock(h.Count / blockEntries); err != nil {
			return err
		}
		if h.Count += int64(n); h.Count > maxRunEntries {
			return fmt.Errorf("a run holds %d entries", int64(maxRunEntries))
		}
	}
	if _, err := w.f.Write(w.fences); err != nil {
		return err
	}
	h.fencesCRC = runfile.Checksum(w.fences)
	_, err := w.f.WriteAt(h.encode(), 0)
	return err
}

// writeBlock writes the next block and returns how many entries it has.
func (w *runWriter) writeBlock(number int64) (int, error) {
	n, err := w.src.next(w.batch[:])
	if err != nil || n == 0 {
		return 0, err
	}
	for i, e := range w.batch[:n] {
		putEntry(w.raw[i*EntrySize:], e)
	}
	clear(w.raw[n*EntrySize:])
	sealBlock(&w.raw, number)
	w.fences = binary.LittleEndian.AppendUint64(w.fences, w.batch[0].Hash)
	_, err = w.f.Write(w.raw[:])
	return n, err
}
