package cold

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/internal/durable"
)

// Options of a Set. Lane and SegmentSize are required.
type Options struct {
	// Lane is the number in every location of these files.
	Lane uint8
	// SegmentSize is the distance of two bases, and bounds the stream of a file.
	SegmentSize int64
	// CacheBytes bounds the decoded blocks that are kept; 0 = 32 MiB.
	CacheBytes int64
	// Reads bounds how many blocks are read at once; 0 = 16.
	Reads int
	// BlockBytes is where a block ends unless one record is longer; 0 = 20 KiB.
	BlockBytes int
	// Raw stores blocks as they are, without compression.
	Raw bool
	// Logger hears of damage and of deleted files; nil discards.
	Logger *slog.Logger
}

// MaxSegmentSize is the largest Options.SegmentSize.
const MaxSegmentSize = 2 << 30

func (o Options) withDefaults() Options {
	o.CacheBytes = cmp.Or(o.CacheBytes, 32<<20)
	o.Reads = cmp.Or(o.Reads, 16)
	o.BlockBytes = cmp.Or(o.BlockBytes, blockTarget)
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	return o
}

// Set is the cold files of one directory.
type Set struct {
	dir   string
	o     Options
	codec *codec
	cache *cache
	reads chan struct{} // one element for each block that is being read

	mu     sync.RWMutex
	files  map[int64]*file // by base
	closed bool
}

// Open opens the registered files in dir and deletes all others. Damaged files
// are logged, not refused; a file of a newer release is a *VersionError.
func Open(dir string, infos []Info, o Options) (*Set, error) {
	o = o.withDefaults()
	if o.SegmentSize <= 0 || o.SegmentSize > MaxSegmentSize {
		return nil, fmt.Errorf("open cold files: segment size %d is not between 1 and %d", o.SegmentSize, MaxSegmentSize)
	}
	// Half of the processors decode, so that a burst leaves room for others; one alone is
	// slower than a disk.
	c, err := newCodec(max(runtime.GOMAXPROCS(0)/2, 2))
	if err != nil {
		return nil, fmt.Errorf("open cold files: %w", err)
	}
	s := &Set{dir: dir, o: o, codec: c, cache: newCache(o.CacheBytes), reads: make(chan struct{}, o.Reads), files: map[int64]*file{}}
	if err := s.openAll(infos); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	if err := s.deleteOrphans(); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// openParallel is how many files are opened at once: it takes three reads of each, which
// are scattered over a disk that can do many at a time.
const openParallel = 32

// openAll adds the registered files. The error is that of the first one in their order.
func (s *Set) openAll(infos []Info) error {
	for _, info := range infos {
		if info.Base%s.o.SegmentSize != 0 || info.Size > s.o.SegmentSize {
			return fmt.Errorf("cold file %d does not fit segments of %d bytes: open it with the segment size that it was made with",
				info.Base, s.o.SegmentSize)
		}
	}
	errs := make([]error, len(infos))
	var g errgroup.Group
	g.SetLimit(openParallel)
	for i, info := range infos {
		g.Go(func() error {
			x, err := s.Load(info)
			if errs[i] = err; err == nil {
				s.Add(x)
			}
			return nil
		})
	}
	_ = g.Wait() // errs has what there is
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// deleteOrphans removes what unfinished evacuations left behind.
func (s *Set) deleteOrphans() error {
	entries, err := os.ReadDir(s.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("open cold files: %w", err)
	}
	for _, e := range entries {
		base, ok := parseName(strings.TrimSuffix(e.Name(), tmpSuffix))
		if !ok || s.files[base] != nil && !strings.HasSuffix(e.Name(), tmpSuffix) {
			continue
		}
		path := filepath.Join(s.dir, e.Name())
		if err := durable.Remove(path); err != nil {
			return fmt.Errorf("delete unregistered cold file: %w", err)
		}
		s.o.Logger.Info("deleted unregistered cold file", "path", path)
	}
	return nil
}

// Loaded is an open file that is not part of its set before Add.
type Loaded struct{ x *file }

// Load opens a file that Finish made.
func (s *Set) Load(info Info) (Loaded, error) {
	report := func(err error) { s.o.Logger.Error("cold file is damaged", "error", err) }
	x, err := openFile(filepath.Join(s.dir, fileName(info.Base)), s.o.Lane, info, report)
	return Loaded{x}, err
}

// Discard closes a file that will not be added. It stays on disk: it may be registered.
func (l Loaded) Discard() error { return l.x.close() }

// Remove is Discard for a file that is certainly not registered; it is unlinked.
func (l Loaded) Remove() error { return l.x.unlink() }

// Add makes a loaded file readable. It does no I/O.
func (s *Set) Add(l Loaded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[l.x.info.Base] = l.x
}

// Infos lists the files in the order of their bases.
func (s *Set) Infos() []Info {
	s.mu.RLock()
	defer s.mu.RUnlock()
	out := make([]Info, 0, len(s.files))
	for _, x := range s.files {
		out = append(out, x.info)
	}
	slices.SortFunc(out, func(a, b Info) int { return cmp.Compare(a.Base, b.Base) })
	return out
}

// View returns the size bytes at lane offset off. They must not be changed. The
// error is commitlog.ErrNotFound when they are dead or never were, and a
// *commitlog.CorruptionError when their block is damaged.
func (s *Set) View(off int64, size int32) ([]byte, error) {
	if size == 0 { // it may stand at the end of its block
		_, err := s.from(off - commitlog.RecordHeaderSize)
		return nil, err
	}
	b, err := s.from(off)
	if err != nil {
		return nil, err
	}
	if size < 0 || int(size) > len(b) {
		return nil, fmt.Errorf("view %d bytes at %v: %w", size, commitlog.MakeLoc(s.o.Lane, off), commitlog.ErrRange)
	}
	return b[:size:size], nil
}

// from returns the bytes from off to the end of its block.
func (s *Set) from(off int64) ([]byte, error) {
	x, pos, err := s.locate(off)
	if err != nil {
		return nil, fmt.Errorf("%v: %w", commitlog.MakeLoc(s.o.Lane, off), err)
	}
	i := x.find(pos)
	if i < 0 {
		return nil, corrupt(x.path, 0, fmt.Errorf("%w: the one at %d of the stream", ErrLost, pos))
	}
	b, err := s.cache.get(blockKey{x.info.Base, i}, func() ([]byte, error) { return s.load(x, i) })
	if err != nil {
		if _, _, gone := s.locate(off); gone != nil { // it died while it was read
			err = fmt.Errorf("%v: %w", commitlog.MakeLoc(s.o.Lane, off), gone)
		}
		return nil, err
	}
	if len(b) == 0 { // no record is there
		return nil, fmt.Errorf("%v: %w", commitlog.MakeLoc(s.o.Lane, off), commitlog.ErrNotFound)
	}
	return x.blocks[i].tail(b, pos), nil
}

// load brings a block from disk. Reads wait for each other so that the disk is not asked
// for more at once than it can do, expanding so that it does not take all processors.
func (s *Set) load(x *file, i int) ([]byte, error) {
	buf := storedPool.Get().(*[]byte)
	defer recycle(buf)
	s.reads <- struct{}{}
	err := x.fetch(i, buf)
	<-s.reads
	if err != nil {
		return nil, err
	}
	return x.expand(i, *buf, s.codec)
}

// locate returns the file with off, and where in its stream off is.
func (s *Set) locate(off int64) (x *file, pos int64, err error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.closed {
		return nil, 0, commitlog.ErrClosed
	}
	if off < 0 {
		return nil, 0, commitlog.ErrNotFound
	}
	pos = off % s.o.SegmentSize
	x = s.files[off-pos]
	switch {
	case x == nil || pos < x.info.DeadTo || pos >= x.info.Size:
		return nil, 0, commitlog.ErrNotFound
	case x.lost != nil:
		return nil, 0, x.lost
	}
	return x, pos, nil
}

// Close closes the files. Idempotent.
func (s *Set) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	s.closed = true
	var errs []error
	for _, x := range s.files {
		errs = append(errs, x.close())
	}
	s.codec.close()
	return errors.Join(errs...)
}

func (x *file) close() error {
	if x.f == nil {
		return nil
	}
	return x.f.Close()
}
