package consumequeue

import (
	"container/list"
	"errors"
	"os"
	"sync"
)

// fileKey names a file by its queue and first slot.
type fileKey struct {
	queue *Queue
	base  int64
}

// files keeps the most recently used files open for reading. A file that is
// pushed out or dropped is closed when its last user has released it.
type files struct {
	max int

	mu     sync.Mutex
	open   map[fileKey]*list.Element // guarded by mu
	recent list.List                 // of *openFile, most recently used first; guarded by mu
	closed bool                      // guarded by mu
}

type openFile struct {
	key  fileKey
	file *os.File
	refs int // users, plus one while it is in the cache; guarded by files.mu
}

func newFiles(max int) *files {
	return &files{max: max, open: make(map[fileKey]*list.Element)}
}

// acquire returns the file of key, opened if need be, until it is released.
func (c *files) acquire(key fileKey) (*openFile, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, ErrClosed
	}
	if el := c.open[key]; el != nil {
		c.recent.MoveToFront(el)
		h := el.Value.(*openFile)
		h.refs++
		return h, nil
	}
	f, err := os.Open(key.queue.path(key.base))
	if err != nil {
		return nil, err
	}
	h := &openFile{key: key, file: f, refs: 2}
	c.open[key] = c.recent.PushFront(h)
	if len(c.open) > c.max {
		_ = c.forget(c.recent.Back())
	}
	return h, nil
}

func (c *files) release(h *openFile) {
	c.mu.Lock()
	defer c.mu.Unlock()
	_ = c.unref(h)
}

// drop closes the files whose key matches.
func (c *files) drop(match func(fileKey) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for key, el := range c.open {
		if match(key) {
			_ = c.forget(el)
		}
	}
}

// close closes all files; those in use when they are released.
func (c *files) close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	var errs []error
	for _, el := range c.open {
		errs = append(errs, c.forget(el))
	}
	return errors.Join(errs...)
}

// forget takes a file out of the cache. mu is held.
func (c *files) forget(el *list.Element) error {
	h := c.recent.Remove(el).(*openFile)
	delete(c.open, h.key)
	return c.unref(h)
}

// unref closes the file with its last reference. Nothing was written through
// it, so an error of Close concerns nobody who only reads. mu is held.
func (c *files) unref(h *openFile) error {
	h.refs--
	if h.refs > 0 {
		return nil
	}
	return h.file.Close()
}
