package keyindex

import (
	"encoding/binary"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/duelog/duelog/internal/runfile"
)

// RunFile is a run opened on its own, by a program that looks into an index that
// it does not own. Its methods are for one goroutine. It reads by pread, and works
// on after the file was unlinked.
type RunFile struct {
	r         *run
	createdMs int64
	lane      uint8
	buf       [blockBytes]byte
}

// OpenRunFile opens the run at path and checks all of it but the entries. Which
// run it is, the header says; the name must agree. A missing file is
// fs.ErrNotExist, damage a *CorruptionError, a run of a newer release a
// *VersionError.
func OpenRunFile(path string) (*RunFile, error) {
	f, err := runfile.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open key run: %w", err)
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
	if binary.LittleEndian.Uint16(b[8:]) == runVersion && h.decode(b) == nil {
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

// BlockOffset is where block i begins in the file.
func (f *RunFile) BlockOffset(i int64) int64 { return headerSize + i*blockBytes }

// Fence is the hash with which block i begins, as the end of the file has it.
func (f *RunFile) Fence(i int64) uint64 { return f.r.fences[i] }

// Block reads and checks block i and appends its entries to dst, in the order in
// which they stand, which should be that of (hash, loc). A damaged one is a
// *CorruptionError; the others can still be read.
func (f *RunFile) Block(i int64, dst []Entry) ([]Entry, error) {
	n, err := f.r.readBlock(i, &f.buf)
	if err != nil {
		return dst, err
	}
	for j := range n {
		dst = append(dst, entryAt(f.buf[:], j))
	}
	return dst, nil
}

// Find calls visit with the locations of hash, newest first, each once, until it
// returns false. A damaged block ends it with a *CorruptionError.
func (f *RunFile) Find(hash uint64, visit func(loc uint64) bool) error {
	_, err := f.r.find(hash, distinct(visit))
	return err
}

// Close closes the file.
func (f *RunFile) Close() error { return f.r.f.Release() }
