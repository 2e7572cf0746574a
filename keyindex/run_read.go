package keyindex

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"
	"sort"
	"sync"

	"github.com/duelog/duelog/internal/runfile"
)

// run is an open run file. It is immutable; the index and each reader hold a
// reference of the file.
type run struct {
	info   RunInfo
	path   string
	f      *runfile.File
	fences []uint64 // the first hash of each block
}

// Info implements runset.Run.
func (r *run) Info() RunInfo { return r.info }

// File implements runset.Run.
func (r *run) File() *runfile.File { return r.f }

// openRun opens and checks the file of a registered run, except its entries.
func openRun(dir string, lane uint8, want RunInfo) (*run, error) {
	r := &run{info: want, path: filepath.Join(dir, RunName(want))}
	f, err := runfile.Open(r.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, r.damaged(0, fs.ErrNotExist)
	}
	if err != nil {
		return nil, fmt.Errorf("open key run: %w", err)
	}
	r.f = f
	if err := r.load(lane); err != nil {
		return nil, errors.Join(err, f.Release())
	}
	return r, nil
}

// load reads header and fences; what they allocate is bounded by the size of the
// file.
func (r *run) load(lane uint8) error {
	st, err := r.f.Stat()
	if err != nil {
		return fmt.Errorf("open key run: %w", err)
	}
	if st.Size() < headerSize {
		return r.damaged(st.Size(), ErrTruncated)
	}
	b := make([]byte, headerSize)
	if err := r.readAt(b, 0); err != nil {
		return err
	}
	h, err := r.parseHeader(b)
	switch {
	case err != nil:
		return err
	case h.RunInfo != r.info || h.lane != lane:
		return r.damaged(0, fmt.Errorf("%w: header is not that of the registered run", ErrLayout))
	case st.Size() < h.Bytes():
		return r.damaged(st.Size(), ErrTruncated)
	case st.Size() > h.Bytes():
		return r.damaged(h.Bytes(), fmt.Errorf("%w: file is longer than its run", ErrLayout))
	}
	return r.loadFences(h.fencesCRC)
}

func (r *run) parseHeader(b []byte) (h header, err error) {
	if string(b[:len(headerMagic)]) != headerMagic {
		return h, r.damaged(0, ErrMagic)
	}
	// The checksum, which every version has there, tells a newer version from damage.
	err = h.decode(b)
	switch v := binary.LittleEndian.Uint16(b[8:]); {
	case errors.Is(err, ErrChecksum):
		return h, r.damaged(0, err)
	case v > runVersion:
		return h, &VersionError{Path: r.path, Version: v, Known: runVersion}
	case v < runVersion:
		return h, r.damaged(8, ErrVersion)
	case err != nil:
		return h, r.damaged(0, err)
	}
	return h, nil
}

func (r *run) loadFences(crc uint32) error {
	blocks := blocksFor(r.info.Count)
	at := headerSize + blocks*blockBytes
	b := make([]byte, blocks*fenceSize)
	if err := r.readAt(b, at); err != nil {
		return err
	}
	if runfile.Checksum(b) != crc {
		return r.damaged(at, ErrChecksum)
	}
	r.fences = make([]uint64, blocks)
	for i := range r.fences {
		r.fences[i] = binary.LittleEndian.Uint64(b[i*fenceSize:])
	}
	if !slices.IsSorted(r.fences) {
		return r.damaged(at, fmt.Errorf("%w: fences are not in order", ErrLayout))
	}
	return nil
}

var blockPool = sync.Pool{New: func() any { return new([blockBytes]byte) }}

// find calls visit with the locations of hash, newest first, until it returns
// false. A bad block ends it with an error.
func (r *run) find(hash uint64, visit func(loc uint64) bool) (more bool, err error) {
	block := sort.Search(len(r.fences), func(i int) bool { return r.fences[i] > hash }) - 1
	if block < 0 {
		return true, nil
	}
	buf := blockPool.Get().(*[blockBytes]byte)
	defer blockPool.Put(buf)
	for ; block >= 0; block-- {
		n, err := r.readBlock(int64(block), buf)
		if err != nil {
			return true, err
		}
		end := sort.Search(n, func(i int) bool { return entryAt(buf[:], i).Hash > hash })
		for i := end - 1; i >= 0; i-- {
			e := entryAt(buf[:], i)
			if e.Hash != hash {
				return true, nil
			}
			if !visit(e.Loc) {
				return false, nil
			}
		}
		if r.fences[block] != hash {
			return true, nil // the block before has smaller ones only
		}
	}
	return true, nil
}

// readBlock reads block i into buf, verifies it, and returns its number of entries.
func (r *run) readBlock(i int64, buf *[blockBytes]byte) (int, error) {
	at := headerSize + i*blockBytes
	if err := r.readAt(buf[:], at); err != nil {
		return 0, err
	}
	if err := checkBlock(buf[:], i); err != nil {
		return 0, r.damaged(at, err)
	}
	return r.entriesIn(i), nil
}

func (r *run) entriesIn(block int64) int {
	return int(min(r.info.Count-block*blockEntries, blockEntries))
}

func (r *run) readAt(b []byte, off int64) error {
	n, err := r.f.ReadAt(b, off)
	if errors.Is(err, io.EOF) {
		return r.damaged(off+int64(n), ErrTruncated)
	}
	if err != nil {
		return fmt.Errorf("read key run %s: %w", r.path, err)
	}
	return nil
}

func (r *run) damaged(off int64, err error) error {
	return &CorruptionError{Path: r.path, Offset: off, Run: r.info, Err: err}
}
