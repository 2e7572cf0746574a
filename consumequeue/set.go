package consumequeue

import (
	"fmt"
	"log/slog"
	"math"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"github.com/duelog/duelog/internal/durable"
)

// Options of a Set. Nil and the zero value mean the defaults.
type Options struct {
	// FileEntries is the number of entries in a file of a new set, default
	// 256 Ki (8 MiB). An existing set keeps its own.
	FileEntries int
	// MaxTail is the number of unflushed entries of one queue at which
	// NeedFlush is called, default 256 Ki (8 MiB of memory).
	MaxTail int
	// NeedFlush asks for a Flush of q, once until one succeeds. It is called by
	// Put on the caller's goroutine without any lock held, and must not block.
	// Nil: nobody is asked.
	NeedFlush func(q *Queue)
	// MaxOpenFiles bounds the files kept open for reading, default 256.
	MaxOpenFiles int
	// Logger gets what is worth knowing and no error of a call; default slog.Default().
	Logger *slog.Logger
}

func (o *Options) ensureDefaults() {
	if o.FileEntries == 0 {
		o.FileEntries = 256 << 10
	}
	if o.MaxTail == 0 {
		o.MaxTail = 256 << 10
	}
	if o.MaxOpenFiles == 0 {
		o.MaxOpenFiles = 256
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
}

func (o *Options) validate() error {
	if o.FileEntries < 0 || int64(o.FileEntries) > math.MaxUint32 {
		return fmt.Errorf("consume queue file entries %d: %w", o.FileEntries, ErrRange)
	}
	if o.MaxTail < 0 || o.MaxOpenFiles < 0 {
		return fmt.Errorf("negative limit of consume queues: %w", ErrRange)
	}
	return nil
}

// Set is all consume queues of a store.
type Set struct {
	dir         string
	opts        Options
	fileEntries int64
	files       *files
	chunks      sync.Pool // of *chunk, all zero
	writeBufs   sync.Pool // of *[writeBytes]byte
	readBufs    sync.Pool // of *[readBytes]byte

	mu     sync.Mutex
	queues map[queueKey]*Queue // guarded by mu
	closed bool                // guarded by mu
}

type queueKey struct {
	topic string
	id    int32
}

// Open opens the set in dir, which is created if it does not exist. It opens
// no queue.
func Open(dir string, o *Options) (*Set, error) {
	s := &Set{dir: dir, queues: make(map[queueKey]*Queue)}
	if o != nil {
		s.opts = *o
	}
	s.opts.ensureDefaults()
	if err := s.opts.validate(); err != nil {
		return nil, err
	}
	if err := durable.MakeDir(dir); err != nil {
		return nil, fmt.Errorf("open consume queues: %w", err)
	}
	n, err := openFormat(dir, int64(s.opts.FileEntries))
	if err != nil {
		return nil, err
	}
	s.fileEntries = n
	s.files = newFiles(s.opts.MaxOpenFiles)
	s.chunks.New = func() any { return new(chunk) }
	s.writeBufs.New = func() any { return new([writeBytes]byte) }
	s.readBufs.New = func() any { return new([readBytes]byte) }
	return s, nil
}

// Queue opens one queue. A checkpoint vouches that the entries [min, next) are
// in files; 0, 0 is a new queue, which gets files only with the first Flush.
//
// If the first files of that range were trimmed after the checkpoint, the
// queue starts where they end: ask Queue.Min. The content of the files is not
// looked at before it is read.
func (s *Set) Queue(topic string, queue int32, min, next int64) (*Queue, error) {
	if err := checkTopic(topic); err != nil {
		return nil, err
	}
	if queue < 0 || min < 0 || next < min || next > maxSlot {
		return nil, fmt.Errorf("open queue %d of %s with slots [%d,%d): %w", queue, topic, min, next, ErrRange)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, ErrClosed
	}
	key := queueKey{topic, queue}
	if s.queues[key] != nil {
		return nil, fmt.Errorf("open queue %d of %s: %w", queue, topic, ErrOpen)
	}
	q, err := openQueue(s, key, min, next)
	if err != nil {
		return nil, err
	}
	s.queues[key] = q
	return q, nil
}

// Close closes all queues without flushing them. It is idempotent.
func (s *Set) Close() error {
	for _, q := range s.takeAll() {
		q.close()
	}
	return s.files.close()
}

func (s *Set) takeAll() map[queueKey]*Queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	qs := s.queues
	s.queues, s.closed = nil, true
	return qs
}

func (s *Set) forget(q *Queue) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.queues[q.key] == q {
		delete(s.queues, q.key)
	}
}

func (s *Set) queueDir(k queueKey) string {
	return filepath.Join(s.dir, k.topic, strconv.Itoa(int(k.id)))
}

// checkTopic keeps a name given by a client from being a path.
func checkTopic(topic string) error {
	if topic == "" || len(topic) > 255 || topic[0] == '.' || topic == formatName || strings.ContainsAny(topic, "/\\\x00") {
		return fmt.Errorf("topic %q: %w", topic, ErrTopic)
	}
	return nil
}
