package segment

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/duelog/duelog/internal/durable"
)

const (
	nameDigits = 20
	deadSuffix = ".dead"
)

// Options of a Chain.
type Options struct {
	// Size of every file in bytes; a multiple of the page size, required.
	Size int64
	// Writer of new and reopened files; zero is Pwrite.
	Writer Writer
	// Pool supplies and takes recycled files; nil keeps none.
	Pool *Pool
	// IO is the way to the disk; nil is Disk.
	IO IO
	// Logger hears of files that could not be recycled; nil is slog.Default.
	Logger *slog.Logger
}

// Chain is the set of segments of one directory. Safe for concurrent use, except
// that Open, Create and Add of one base must not race.
type Chain struct {
	dir string
	o   Options

	mu    sync.Mutex                      // held while the set changes
	files atomic.Pointer[map[int64]*File] // by base; never modified, only replaced
}

// NewChain returns an empty chain over dir. It touches nothing on disk.
func NewChain(dir string, o Options) (*Chain, error) {
	if o.Size <= 0 || o.Size%pageSize != 0 {
		return nil, fmt.Errorf("segment size %d is not a positive multiple of %d", o.Size, pageSize)
	}
	o.IO = cmp.Or[IO](o.IO, Disk{})
	o.Logger = cmp.Or(o.Logger, slog.Default())
	c := &Chain{dir: dir, o: o}
	c.files.Store(&map[int64]*File{})
	return c, nil
}

// Names lists the bases of the segment files in the directory, ascending, and
// recycles what an earlier run removed without finishing. A missing directory has
// none. Names that are not segments are left alone.
func (c *Chain) Names() ([]int64, error) {
	entries, err := os.ReadDir(c.dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list segments: %w", err)
	}
	var bases []int64
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), deadSuffix) {
			c.recycle(filepath.Join(c.dir, e.Name()))
		} else if base, ok := parseName(e.Name()); ok && e.Type().IsRegular() {
			bases = append(bases, base)
		}
	}
	slices.Sort(bases)
	return bases, nil
}

func parseName(name string) (base int64, ok bool) {
	if len(name) != nameDigits {
		return 0, false
	}
	base, err := strconv.ParseInt(name, 10, 64)
	return base, err == nil && base >= 0
}

// Path of the segment with that base.
func (c *Chain) Path(base int64) string {
	return filepath.Join(c.dir, fmt.Sprintf("%0*d", nameDigits, base))
}

// Open maps an existing segment; it is not part of the chain before Add. A file
// that lost its end reads as zeroes there (see File.Allocate before writing); one
// that is too long is ErrSize; a missing one fs.ErrNotExist.
func (c *Chain) Open(base int64) (*File, error) {
	if _, err := os.Stat(c.Path(base)); err != nil {
		return nil, fmt.Errorf("open segment: %w", err)
	}
	return c.open(base, c.lengthen)
}

// lengthen restores the full length of a file that was cut short, without blocks.
func (c *Chain) lengthen(f *os.File) error {
	st, err := f.Stat()
	if err != nil || st.Size() >= c.o.Size {
		return err
	}
	return durable.Truncate(f, c.o.Size)
}

// Create makes the file of a new segment: recycled or fresh, allocated in full,
// its name durable. It is not part of the chain before Add. A file that already
// has the name is reused. On ENOSPC nothing new is left behind.
func (c *Chain) Create(base int64) (*File, error) {
	if err := durable.MakeDir(c.dir); err != nil {
		return nil, fmt.Errorf("create segment directory: %w", err)
	}
	path := c.Path(base)
	_, err := os.Stat(path)
	reused := err == nil || c.o.Pool.take(path, c.o.Size)
	f, err := c.open(base, c.allocate)
	if err != nil {
		c.giveBack(path, reused)
		return nil, err
	}
	if err := errors.Join(f.Sync(), durable.SyncDir(c.dir)); err != nil {
		f.Release()
		return nil, fmt.Errorf("create segment: %w", err)
	}
	return f, nil
}

func (c *Chain) allocate(f *os.File) error { return c.o.IO.Preallocate(f, 0, c.o.Size) }

// giveBack undoes a Create that failed: a file that had blocks before keeps them
// for the next attempt, a fresh one frees what it got.
func (c *Chain) giveBack(path string, reused bool) {
	if reused {
		c.recycle(path)
	} else if err := durable.Remove(path); err != nil {
		c.o.Logger.Warn("delete unfinished segment", "path", path, "error", err)
	}
}

func (c *Chain) open(base int64, grow func(*os.File) error) (*File, error) {
	f, err := open(c.Path(base), base, &c.o, grow)
	if err != nil {
		return nil, err
	}
	f.last = c.finish
	return f, nil
}

// Add makes f part of the chain, which takes over the caller's reference.
func (c *Chain) Add(f *File) {
	c.change(func(m map[int64]*File) { m[f.base] = f })
}

func (c *Chain) change(edit func(map[int64]*File)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	m := maps.Clone(*c.files.Load())
	edit(m)
	c.files.Store(&m)
}

// Acquire returns the segment that holds stream offset off with a reference that
// the caller releases, or nil when there is none.
func (c *Chain) Acquire(off int64) *File {
	f := (*c.files.Load())[off-off%c.o.Size]
	if f == nil || !f.Acquire() {
		return nil
	}
	return f
}

// Bases lists the bases in the chain, ascending.
func (c *Chain) Bases() []int64 {
	return slices.Sorted(maps.Keys(*c.files.Load()))
}

// Remove takes a segment out of the chain and gives its name up, durably. The file
// goes to the pool when its last reader lets go of it. False: there was none.
func (c *Chain) Remove(base int64) (bool, error) {
	var f *File
	c.change(func(m map[int64]*File) {
		f = m[base]
		delete(m, base)
	})
	if f == nil {
		return false, nil
	}
	defer f.Release()
	f.w.wait()
	if err := c.bury(f); err != nil {
		return true, fmt.Errorf("remove segment: %w", err)
	}
	return true, nil
}

// bury renames a file so that no later Names finds it as a segment.
func (c *Chain) bury(f *File) error {
	c.mu.Lock()
	dead := f.path + deadSuffix
	err := durable.Rename(f.path, dead)
	if err == nil {
		f.path = dead
	}
	c.mu.Unlock()
	return errors.Join(err, durable.SyncDir(c.dir))
}

// Discard recycles the file of a base that is not in the chain.
func (c *Chain) Discard(base int64) { c.recycle(c.Path(base)) }

// finish is what the last reference does: unmap, and recycle if removed.
func (c *Chain) finish(f *File) {
	if err := f.detach(); err != nil {
		c.o.Logger.Error("close segment", "path", f.path, "error", err)
	}
	c.mu.Lock()
	path := f.path
	c.mu.Unlock()
	if strings.HasSuffix(path, deadSuffix) {
		c.recycle(path)
	}
}

func (c *Chain) recycle(path string) {
	st, err := os.Stat(path)
	if err == nil {
		if st.Size() == c.o.Size {
			err = c.o.Pool.put(path, c.o.Size)
		} else {
			err = durable.Remove(path)
		}
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		c.o.Logger.Warn("recycle segment", "path", path, "error", err)
	}
}

// Close drops the chain's references; every file is unmapped with its last reader.
// The files stay on disk. Idempotent.
func (c *Chain) Close() {
	var files map[int64]*File
	c.change(func(m map[int64]*File) {
		files = maps.Clone(m)
		clear(m)
	})
	for _, f := range files {
		f.w.wait()
		f.Release()
	}
}
