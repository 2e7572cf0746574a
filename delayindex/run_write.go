package delayindex

import (
	"io"

	"github.com/duelog/duelog/internal/runfile"
)

// writeRun writes the entries of o, which are h.Count many and at least one, to
// a file beside path and makes the bytes durable. runfile.Publish makes them a run.
func writeRun(path string, h *header, o *memOrder) error {
	// All but the hours is known in advance.
	return runfile.Write(path, footerFor(h.Count, 0).fileSize, func(f *runfile.Writer) error {
		w := runWriter{f: f, dir: directory{info: h.RunInfo}}
		return w.writeAll(h, o)
	})
}

// runWriter writes one file front to back.
type runWriter struct {
	f     io.Writer
	dir   directory
	batch [blockEntries]Entry
	raw   [blockBytes]byte
}

func (w *runWriter) writeAll(h *header, o *memOrder) error {
	if _, err := w.f.Write(h.encode()); err != nil {
		return err
	}
	for i := 0; i < len(o.keys); i += blockEntries {
		if err := w.writeBlock(o, i); err != nil {
			return err
		}
	}
	return w.writeDirectory(h.Count)
}

// writeBlock writes the block that begins with the first-th entry.
func (w *runWriter) writeBlock(o *memOrder, first int) error {
	batch := w.batch[:o.fill(w.batch[:], first)]
	for i := range batch {
		putEntry(w.raw[i*EntrySize:], &batch[i])
	}
	raw := w.raw[:len(batch)*EntrySize]
	w.dir.note(raw, runfile.Checksum(raw), int64(first))
	_, err := w.f.Write(raw)
	return err
}

func (w *runWriter) writeDirectory(count int64) error {
	dir := w.dir.encode()
	foot := footerFor(count, uint32(len(w.dir.hours)))
	foot.directoryCRC = runfile.Checksum(dir)
	if _, err := w.f.Write(dir); err != nil {
		return err
	}
	_, err := w.f.Write(foot.encode())
	return err
}
