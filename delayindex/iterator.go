package delayindex

import "sync"

// Iterator yields entries in (fire time, Loc) order, in batches. It is used by
// one goroutine at a time.
type Iterator interface {
	// Next copies the next entries to dst, which is not empty, and returns how
	// many; 0 without an error is the end. An error comes alone, after all
	// entries before it, and stays.
	Next(dst []Entry) (int, error)
	// Close releases what the iterator holds. It may be called more than once;
	// after it Next reports the end.
	Close()
}

// emptyIterator yields nothing.
type emptyIterator struct{}

func (emptyIterator) Next([]Entry) (int, error) { return 0, nil }
func (emptyIterator) Close()                    {}

// memIterator yields the entries of a memtable in [from, to). It selects and
// sorts on first use; the view belongs to the snapshot.
type memIterator struct {
	view     *memView
	from, to uint64
	order    memOrder
	ready    bool
	pos      int
}

// Next implements Iterator.
func (it *memIterator) Next(dst []Entry) (int, error) {
	if !it.ready {
		it.order = it.view.order(it.from, it.to, nil)
		it.ready = true
	}
	n := it.order.fill(dst, it.pos)
	it.pos += n
	return n, nil
}

// Close implements Iterator.
func (it *memIterator) Close() {
	it.order, it.pos, it.ready = memOrder{}, 0, true
}

var blockPool = sync.Pool{New: func() any { return new(blockBuffer) }}

// runIterator yields the entries of a run in [from, to). It holds a block of the
// file while a part of it is left; the run belongs to the snapshot.
type runIterator struct {
	run      *run
	from, to uint64
	buf      *blockBuffer
	number   int64 // of the next block to read
	block    block
	pos, end int  // what is left of the present block, below to
	last     bool // nothing in [from, to) lies behind the present block
	started  bool
	err      error
}

// Next implements Iterator. It ends with the block, so whoever has room for a
// block leaves nothing of it behind.
func (it *runIterator) Next(dst []Entry) (int, error) {
	if !it.ready() {
		return 0, it.err
	}
	n := min(len(dst), it.end-it.pos)
	it.block.decodeTo(dst[:n], it.pos)
	if it.pos += n; it.pos == it.end {
		it.release()
	}
	return n, nil
}

// Close implements Iterator.
func (it *runIterator) Close() {
	it.release()
	it.last, it.started = true, true
}

// release gives the block back.
func (it *runIterator) release() {
	if it.buf != nil {
		blockPool.Put(it.buf)
	}
	it.buf, it.block, it.pos, it.end = nil, block{}, 0, 0
}

// ready makes sure that there are entries to decode; false is the end or an error.
func (it *runIterator) ready() bool {
	if !it.started {
		it.start()
	}
	for it.pos == it.end && !it.last {
		it.load()
	}
	return it.pos < it.end
}

func (it *runIterator) start() {
	it.started = true
	lo, _ := it.run.locate(it.from)
	it.number = lo / blockEntries
	it.last = lo >= it.run.info.Count
}

// load reads the next block and cuts it to the range.
func (it *runIterator) load() {
	if it.buf == nil {
		it.buf = blockPool.Get().(*blockBuffer)
	}
	var err error
	if it.block, err = it.run.readBlock(it.number, it.buf); err != nil {
		it.err, it.last = err, true
		return
	}
	it.number++
	it.pos, it.end = it.block.below(it.from), it.block.below(it.to)
	it.last = it.end < it.block.n || it.number == int64(len(it.run.fences))
}
