package delayindex

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"

	"github.com/duelog/duelog/internal/durable"
)

// syncEvery bounds the burst that a flush puts in front of the commit log's own
// syncs on the same disk. It costs the flush some 10-20 %.
const syncEvery = 16 << 20

// writeRun writes the entries of o, which are h.Count many and at least one, to
// path + ".tmp" and makes the bytes durable. publishRun makes them a run.
//
// A failed sync needs no memory of it: the file is removed, and a retry writes
// every byte again.
func writeRun(path string, h *header, o *memOrder) error {
	f, err := os.Create(path + tmpSuffix)
	if err != nil {
		return fmt.Errorf("create run: %w", err)
	}
	w := runWriter{f: f, dir: directory{info: h.RunInfo}}
	err = w.writeAll(h, o)
	if err = errors.Join(err, f.Close()); err != nil {
		err = fmt.Errorf("write run %s: %w", path, err)
		return errors.Join(err, os.Remove(path+tmpSuffix))
	}
	return nil
}

// publishRun gives a written run its final name, durably.
func publishRun(path string) error {
	if err := os.Rename(path+tmpSuffix, path); err != nil {
		return fmt.Errorf("publish run: %w", err)
	}
	return durable.SyncDir(filepath.Dir(path))
}

// runWriter writes one file front to back.
type runWriter struct {
	f        *os.File
	dir      directory
	unsynced int
	batch    [blockEntries]Entry
	raw      [blockBytes]byte
}

func (w *runWriter) writeAll(h *header, o *memOrder) error {
	// Reserving all but the hours up front keeps the file in one piece, and a
	// full disk shows before the work is done.
	if err := durable.Preallocate(w.f, footerFor(h.Count, 0).fileSize); err != nil {
		return err
	}
	if err := w.write(h.encode()); err != nil {
		return err
	}
	for i := 0; i < len(o.keys); i += blockEntries {
		if err := w.writeBlock(o, i); err != nil {
			return err
		}
	}
	if err := w.writeDirectory(h.Count); err != nil {
		return err
	}
	return durable.Datasync(w.f)
}

// writeBlock writes the block that begins with the first-th entry.
func (w *runWriter) writeBlock(o *memOrder, first int) error {
	batch := w.batch[:o.fill(w.batch[:], first)]
	for i := range batch {
		putEntry(w.raw[i*EntrySize:], &batch[i])
	}
	raw := w.raw[:len(batch)*EntrySize]
	w.dir.note(raw, crc32.Checksum(raw, castagnoli), int64(first))
	return w.write(raw)
}

func (w *runWriter) writeDirectory(count int64) error {
	dir := w.dir.encode()
	foot := footerFor(count, uint32(len(w.dir.hours)))
	foot.directoryCRC = crc32.Checksum(dir, castagnoli)
	if err := w.write(dir); err != nil {
		return err
	}
	return w.write(foot.encode())
}

func (w *runWriter) write(b []byte) error {
	n, err := w.f.Write(b)
	if err != nil {
		return err
	}
	if w.unsynced += n; w.unsynced < syncEvery {
		return nil
	}
	w.unsynced = 0
	return durable.Datasync(w.f)
}
