package delayindex

import (
	"fmt"

	"github.com/duelog/duelog/internal/durable"
	"github.com/duelog/duelog/internal/runfile"
)

// writeRun writes the entries of it, at most h.Count, to a file beside path and
// makes the bytes durable. Then h describes them; runfile.Publish makes them a
// run. Without an entry no file is left.
func writeRun(path string, h *header, it Iterator) error {
	err := runfile.Write(path, mostBytes(h.Count), func(f *runfile.Writer) error {
		w := runWriter{f: f}
		return w.writeAll(h, it)
	})
	if err == nil && h.Count == 0 {
		err = durable.Remove(path + runfile.TmpSuffix)
	}
	return err
}

// runWriter writes one file front to back, and its header, which says how many
// entries there were, in the end.
type runWriter struct {
	f        *runfile.Writer
	dir      directory
	at       int64 // where the next block begins
	count    int64
	lastFire uint64
	batch    [blockEntries]Entry
	buf      blockBuffer
}

func (w *runWriter) writeAll(h *header, it Iterator) error {
	if _, err := w.f.Write(make([]byte, headerSize)); err != nil {
		return err
	}
	w.at = headerSize
	if err := w.writeBlocks(it); err != nil {
		return err
	}
	w.describe(h)
	if h.Count == 0 {
		return nil
	}
	if err := w.writeDirectory(h.Count); err != nil {
		return err
	}
	_, err := w.f.WriteAt(h.encode(), 0)
	return err
}

// describe puts what was written into the header.
func (w *runWriter) describe(h *header) {
	h.Count, h.MinFireMs, h.MaxFireMs = w.count, 0, 0
	if w.count > 0 {
		h.MinFireMs, h.MaxFireMs = int64(w.dir.fences[0].first), int64(w.lastFire)
	}
}

func (w *runWriter) writeBlocks(it Iterator) error {
	for {
		batch, err := w.nextBatch(it)
		if err != nil || len(batch) == 0 {
			return err
		}
		if w.count+int64(len(batch)) > maxRunEntries {
			return fmt.Errorf("more than the %d entries that a run holds", int64(maxRunEntries))
		}
		if err := w.writeBlock(batch); err != nil {
			return err
		}
	}
}

// nextBatch takes the entries of one block; fewer come at the end only.
func (w *runWriter) nextBatch(it Iterator) ([]Entry, error) {
	n := 0
	for n < len(w.batch) {
		k, err := it.Next(w.batch[n:])
		if err != nil {
			return nil, err
		}
		if k == 0 {
			break
		}
		n += k
	}
	return w.batch[:n], nil
}

func (w *runWriter) writeBlock(batch []Entry) error {
	raw := encodeBlock(&w.buf, batch)
	w.dir.note(batch, fence{at: w.at, size: uint32(len(raw)), crc: runfile.Checksum(raw)}, w.count)
	w.at += int64(len(raw))
	w.count += int64(len(batch))
	w.lastFire = batch[len(batch)-1].fire()
	_, err := w.f.Write(raw)
	return err
}

func (w *runWriter) writeDirectory(count int64) error {
	dir := w.dir.encode(count)
	hourBytes := int64(len(dir)) - int64(len(w.dir.fences))*fenceSize(runVersion)
	foot := newFooter(runVersion, count, w.at, uint32(len(w.dir.hours)), hourBytes)
	foot.directoryCRC = runfile.Checksum(dir)
	if _, err := w.f.Write(dir); err != nil {
		return err
	}
	_, err := w.f.Write(foot.encode())
	return err
}
