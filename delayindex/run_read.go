package delayindex

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"github.com/duelog/duelog/internal/runfile"
)

// run is an open run file. It is immutable; the index and each snapshot hold a
// reference of the file.
type run struct {
	directory
	path    string
	f       *runfile.File
	version uint16
	size    int64 // of the file, bytes
}

// Info implements runset.Run.
func (r *run) Info() RunInfo { return r.info }

// File implements runset.Run.
func (r *run) File() *runfile.File { return r.f }

// openRun opens and checks the file of a registered run, except its entries.
func openRun(dir string, lane uint8, want RunInfo) (*run, error) {
	r := &run{path: filepath.Join(dir, RunName(want))}
	r.info = want
	f, err := runfile.Open(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, r.damaged(0, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("open run: %w", err)
	}
	r.f = f
	if err := r.load(lane); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return r, nil
}

// load reads header, footer and directory, each of which says how to read the
// next; what they allocate is bounded by the size of the file.
func (r *run) load(lane uint8) error {
	st, err := r.f.Stat()
	if err != nil {
		return fmt.Errorf("open run: %w", err)
	}
	if st.Size() < minRunFileSize {
		return r.damaged(st.Size(), ErrTruncated)
	}
	if err := r.loadHeader(lane, st.Size()); err != nil {
		return err
	}
	r.size = st.Size()
	foot, err := r.loadFooter(st.Size())
	if err != nil {
		return err
	}
	return r.loadDirectory(foot)
}

func (r *run) loadHeader(lane uint8, size int64) error {
	b := make([]byte, headerSize)
	if err := r.readAt(b, 0); err != nil {
		return err
	}
	if string(b[:len(headerMagic)]) != headerMagic {
		return r.damaged(0, ErrMagic)
	}
	var h header
	if err := h.decode(b); err != nil {
		return r.damaged(0, err)
	}
	// The checksum, which every version has there, told it from damage.
	switch {
	case h.version > runVersion:
		return &VersionError{Path: r.path, Version: h.version, Known: runVersion}
	case h.version == 0:
		return r.damaged(8, ErrVersion)
	}
	h.CutMs = r.info.CutMs
	if h.RunInfo != r.info || h.lane != lane {
		return r.damaged(0, fmt.Errorf("%w: header is not that of the registered run", ErrLayout))
	}
	if err := h.validate(size); err != nil {
		return r.damaged(0, err)
	}
	r.version = h.version
	return nil
}

// validate checks a header's fields against each other and the file's size.
func (h *header) validate(size int64) error {
	switch {
	case h.Start < 0 || h.End <= h.Start:
		return fmt.Errorf("%w: lane range is empty", ErrLayout)
	case h.Count < 1 || h.Count > maxRunEntries:
		return fmt.Errorf("%w: %d entries", ErrLayout, h.Count)
	case h.MinFireMs < 0 || h.MaxFireMs < h.MinFireMs || h.MaxFireMs > MaxFireMs:
		return fmt.Errorf("%w: range of fire times", ErrLayout)
	case leastBytes(h.version, h.Count) > size:
		return fmt.Errorf("%w: %d entries do not fit", ErrTruncated, h.Count)
	}
	return nil
}

func (r *run) loadFooter(size int64) (footer, error) {
	var foot footer
	at := size - footerSize
	b := make([]byte, footerSize)
	if err := r.readAt(b, at); err != nil {
		return foot, err
	}
	if err := foot.decode(b); err != nil {
		return foot, r.damaged(at, err)
	}
	if int64(foot.hours) < 1 || int64(foot.hours) > min(r.info.Count, maxRunHours) {
		return foot, r.damaged(at, fmt.Errorf("%w: %d hours", ErrLayout, foot.hours))
	}
	hourBytes, ok := foot.hourBytes(r.version)
	want := newFooter(r.version, r.info.Count, foot.fencesAt, foot.hours, hourBytes)
	want.directoryCRC = foot.directoryCRC
	if !ok || foot != want || foot.fileSize != size || foot.fencesAt < headerSize {
		return foot, r.damaged(at, fmt.Errorf("%w: footer does not fit the file", ErrLayout))
	}
	return foot, nil
}

func (r *run) loadDirectory(foot footer) error {
	b := make([]byte, foot.fileSize-footerSize-foot.fencesAt)
	if err := r.readAt(b, foot.fencesAt); err != nil {
		return err
	}
	if runfile.Checksum(b) != foot.directoryCRC {
		return r.damaged(foot.fencesAt, ErrChecksum)
	}
	if err := r.decode(b, r.version, &foot); err != nil {
		return r.damaged(foot.fencesAt, err)
	}
	return nil
}

// readBlock reads block i into buf and verifies it.
func (r *run) readBlock(i int64, buf *blockBuffer) (block, error) {
	f := &r.fences[i]
	raw := buf[:f.size]
	if err := r.readAt(raw, f.at); err != nil {
		return block{}, err
	}
	if runfile.Checksum(raw) != f.crc {
		return block{}, r.damaged(f.at, ErrChecksum)
	}
	b, err := r.parseBlock(i, buf[:int(f.size)+rowSlack])
	if err == nil && !r.inOrder(i, &b) {
		err = fmt.Errorf("%w: entries are not in the order of their fire times", ErrLayout)
	}
	if err != nil {
		return block{}, r.damaged(f.at, err)
	}
	return b, nil
}

// rowsIn is how many entries block i has.
func (r *run) rowsIn(i int64) int { return int(min(r.info.Count-i*blockEntries, blockEntries)) }

// parseBlock finds the rows of block i in raw, which has slack at its end.
func (r *run) parseBlock(i int64, raw []byte) (block, error) {
	if r.version == 1 {
		return newBlock(version1, raw, r.rowsIn(i)), nil
	}
	if len(raw) < blockHeaderSize+rowSlack {
		return block{}, fmt.Errorf("%w: block of %d bytes", ErrLayout, len(raw)-rowSlack)
	}
	var l layout
	n, err := l.decode(raw)
	if err != nil {
		return block{}, err
	}
	if n != r.rowsIn(i) || blockHeaderSize+n*l.rowSize()+rowSlack != len(raw) {
		return block{}, fmt.Errorf("%w: %d entries of %d bytes in a block of %d", ErrLayout, n, l.rowSize(), len(raw)-rowSlack)
	}
	return newBlock(l, raw[blockHeaderSize:], n), nil
}

// inOrder reports whether the entries of block i fire one after the other, from
// the time in the block table on and not after the next block. Merging relies on it.
func (r *run) inOrder(i int64, b *block) bool {
	last := r.fences[i].first
	if b.fire(0) != last {
		return false
	}
	for at := range b.n {
		fire := b.fire(at)
		if fire < last {
			return false
		}
		last = fire
	}
	if i+1 < int64(len(r.fences)) {
		return last <= r.fences[i+1].first
	}
	return last == uint64(r.info.MaxFireMs)
}

func (r *run) readAt(b []byte, off int64) error {
	n, err := r.f.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		return r.damaged(off+int64(n), ErrTruncated)
	}
	if err != nil {
		return fmt.Errorf("read run %s: %w", r.path, err)
	}
	return nil
}

func (r *run) damaged(off int64, err error) error {
	return &CorruptionError{Path: r.path, Offset: off, Run: r.info, Err: err}
}

// overlaps reports whether the run may have entries in [from, to).
func (r *run) overlaps(from, to uint64) bool {
	return uint64(r.info.LastFireMs()) >= from && uint64(r.info.MinFireMs) < to
}

// clip ends a range where hidden entries begin.
func (r *run) clip(to uint64) uint64 {
	return min(to, uint64(r.info.LastFireMs())+1)
}
