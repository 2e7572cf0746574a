package cold

import (
	"container/list"
	"sync"
)

// blockKey names a block: the base of its file and its number.
type blockKey struct {
	base  int64
	block int
}

// cache holds decoded blocks, the least recently used ones go first. Whoever
// wants a block that is being loaded waits for that load. Bytes that somebody
// still holds after they left the cache are the garbage collector's.
type cache struct {
	max int64 // bytes

	mu     sync.Mutex // guards what follows; not held while a block is loaded
	used   int64
	blocks map[blockKey]*list.Element // of *cached
	recent list.List                  // front = used last
	loads  map[blockKey]*load
}

type cached struct {
	key   blockKey
	bytes []byte
}

// load is a block on its way. bytes and err are set when done is closed.
type load struct {
	done  chan struct{}
	bytes []byte
	err   error
}

func newCache(maxBytes int64) *cache {
	return &cache{max: maxBytes, blocks: map[blockKey]*list.Element{}, loads: map[blockKey]*load{}}
}

// has reports whether a block is here or on its way.
func (c *cache) has(key blockKey) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.blocks[key] != nil || c.loads[key] != nil
}

// get returns the block, which read brings if it is not here. An error is not kept.
func (c *cache) get(key blockKey, read func() ([]byte, error)) ([]byte, error) {
	c.mu.Lock()
	if el, ok := c.blocks[key]; ok {
		c.recent.MoveToFront(el)
		c.mu.Unlock()
		return el.Value.(*cached).bytes, nil
	}
	if l, ok := c.loads[key]; ok {
		c.mu.Unlock()
		<-l.done
		return l.bytes, l.err
	}
	l := &load{done: make(chan struct{})}
	c.loads[key] = l
	c.mu.Unlock()

	l.bytes, l.err = read()
	c.settle(key, l)
	return l.bytes, l.err
}

// settle ends a load and makes room for what it brought.
func (c *cache) settle(key blockKey, l *load) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.loads, key)
	close(l.done)
	if l.err != nil || int64(len(l.bytes)) > c.max {
		return
	}
	c.blocks[key] = c.recent.PushFront(&cached{key, l.bytes})
	c.used += int64(len(l.bytes))
	for c.used > c.max {
		old := c.recent.Remove(c.recent.Back()).(*cached)
		delete(c.blocks, old.key)
		c.used -= int64(len(old.bytes))
	}
}
