package commitlog

import (
	"encoding/binary"
	"slices"
	"sync"
	"time"
)

// Append copies r into the open batch and returns; done.Complete(cookie, ...) tells
// its fate later (done may be nil). An error means that done will not be called:
// ErrTooLarge or ErrWhen for a bad record, else ErrClosed, ErrReadOnly, ErrDiskFull,
// ErrBusy. It blocks only while Options.MaxPendingBytes are waiting to be committed,
// and for Options.MaxWait at most.
func (l *Log) Append(r *Record, done Completer, cookie uint64) error {
	n := RecordHeaderSize + len(r.Payload)
	if n > l.o.maxFrame() {
		return ErrTooLarge
	}
	if r.When < 0 || r.When > maxWhen {
		return ErrWhen
	}
	return l.in.add(r, n, done, cookie)
}

// batch is a frame in the making.
type batch struct {
	buf   []byte // FrameHeaderSize bytes of room, then the records
	items []Item // Loc counts from the start of buf until the frame has its place
	keys  []uint64

	unscheduled int
	maxFireMs   int64
}

func (b *batch) add(r *Record, done Completer, cookie uint64) {
	loc := Loc(len(b.buf) + RecordHeaderSize)
	if n := RecordHeaderSize + len(r.Payload); len(b.buf)+n > cap(b.buf) {
		b.buf = slices.Grow(b.buf, max(n, growth*cap(b.buf))) // append's own steps copy each record several times
	}
	b.buf = AppendRecord(b.buf, r)
	b.items = append(b.items, Item{
		Loc: loc, When: r.When, Flags: r.Flags, Size: int32(len(r.Payload)),
		Queue: r.Queue, Tag: r.Tag, Key: r.Key, Done: done, Cookie: cookie,
		Keys: b.addKeys(r.Keys),
	})
	if r.Flags&FlagScheduled != 0 {
		b.maxFireMs = max(b.maxFireMs, r.When)
	} else {
		b.unscheduled++
	}
}

// addKeys keeps a copy of keys. When b.keys grows, earlier items go on to refer to
// the old array, which does not change any more.
func (b *batch) addKeys(keys []uint64) []uint64 {
	if len(keys) == 0 {
		return nil
	}
	n := len(b.keys)
	b.keys = append(b.keys, keys...)
	return b.keys[n:len(b.keys):len(b.keys)]
}

// moveTo turns the items' positions in the buffer into locations.
func (b *batch) moveTo(loc Loc) {
	for i := range b.items {
		b.items[i].Loc += loc
	}
}

// unplace takes the locations away: the batch found no room.
func (b *batch) unplace() {
	for i := range b.items {
		b.items[i].Loc = 0
	}
}

// patch writes the When that Hooks.Assign gave to unscheduled items.
func (b *batch) patch(loc Loc) {
	if b.unscheduled == 0 {
		return
	}
	for i := range b.items {
		it := &b.items[i]
		if !it.Scheduled() {
			at := int(it.Loc-loc) - RecordHeaderSize
			binary.LittleEndian.PutUint64(b.buf[at+16:], packWhen(it.When, it.Flags))
		}
	}
}

func (b *batch) reset() {
	clear(b.items) // drop the Completers
	*b = batch{buf: b.buf[:FrameHeaderSize], items: b.items[:0], keys: b.keys[:0]}
}

const (
	// firstBatchBytes is the first buffer of a batch. One that is full takes growth
	// times more: the third holds a default batch of 1 MiB and its header.
	firstBatchBytes = 65 << 10
	growth          = 3
	// spareBytes bounds the buffers kept for reuse; more are left to the collector.
	spareBytes = 8 << 20
)

// intake is where producers and the writer meet: a queue of batches of which the
// last takes more records and the first is the next to be committed. While the
// writer syncs one batch the next one fills, so batches grow with the load and no
// timer is needed.
type intake struct {
	maxBatch   int
	maxPending int
	maxWait    time.Duration // 0 = no limit

	mu      sync.Mutex
	work    sync.Cond // the writer waits for a batch
	space   sync.Cond // producers wait for pending to fall
	queue   []*batch
	free    []*batch
	spare   int // bytes of buffers in free
	pending int // bytes accepted and not yet committed
	waiting int // producers in space.Wait
	idle    bool
	full    bool // somebody waited for maxWait; refuses until half of pending is committed
	closed  bool
	fatal   error     // refuses everything from now on
	busy    error     // refuses until the given moment
	until   time.Time // end of busy
}

func (in *intake) init(maxBatch, maxPending int, maxWait time.Duration) {
	in.maxBatch, in.maxPending, in.maxWait = maxBatch, maxPending, maxWait
	in.work.L, in.space.L = &in.mu, &in.mu
}

func (in *intake) add(r *Record, n int, done Completer, cookie uint64) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	if err := in.await(n); err != nil {
		return err
	}
	in.open(n).add(r, done, cookie)
	in.pending += n
	if in.idle {
		in.idle = false
		in.work.Signal()
	}
	return nil
}

// await returns when n more bytes may be pending, or with the reason why not.
func (in *intake) await(n int) error {
	var deadline time.Time
	for {
		if err := in.refusal(); err != nil {
			return err
		}
		if in.pending == 0 || in.pending+n <= in.maxPending {
			return nil
		}
		if err := in.wait(&deadline); err != nil {
			return err
		}
	}
}

// wait returns when there may be space, and refuses when the deadline, which the
// first call sets, has passed.
func (in *intake) wait(deadline *time.Time) error {
	if in.maxWait > 0 {
		now := time.Now()
		if deadline.IsZero() {
			*deadline = now.Add(in.maxWait)
		}
		if !now.Before(*deadline) {
			in.full = true
			return ErrBusy
		}
		t := time.AfterFunc(deadline.Sub(now), in.alarm)
		defer t.Stop()
	}
	in.waiting++
	in.space.Wait()
	in.waiting--
	return nil
}

// alarm lets those who wait look at their deadlines.
func (in *intake) alarm() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.space.Broadcast()
}

func (in *intake) refusal() error {
	switch {
	case in.closed:
		return ErrClosed
	case in.fatal != nil:
		return in.fatal
	case in.busy != nil:
		if time.Now().Before(in.until) {
			return in.busy
		}
		in.busy = nil
	}
	if in.full {
		return ErrBusy
	}
	return nil
}

// open is the batch that takes n more bytes.
func (in *intake) open(n int) *batch {
	if k := len(in.queue); k > 0 {
		b := in.queue[k-1]
		if len(b.buf)-FrameHeaderSize+n <= in.maxBatch && len(b.items) < maxFrameRecords {
			return b
		}
	}
	var b *batch
	if k := len(in.free); k > 0 {
		b, in.free = in.free[k-1], in.free[:k-1]
		in.spare -= cap(b.buf)
	} else {
		b = &batch{buf: make([]byte, FrameHeaderSize, firstBatchBytes)}
	}
	in.queue = append(in.queue, b)
	return b
}

// take waits for a batch; nil means closed and drained.
func (in *intake) take() *batch {
	in.mu.Lock()
	defer in.mu.Unlock()
	for len(in.queue) == 0 {
		if in.closed {
			return nil
		}
		in.idle = true
		in.work.Wait()
		in.idle = false
	}
	b := in.queue[0]
	in.queue = slices.Delete(in.queue, 0, 1)
	return b
}

// done takes a committed batch back.
func (in *intake) done(b *batch) {
	n := len(b.buf) - FrameHeaderSize
	b.reset()
	in.mu.Lock()
	defer in.mu.Unlock()
	in.pending -= n
	if in.pending <= in.maxPending/2 {
		in.full = false
	}
	if in.spare+cap(b.buf) <= spareBytes {
		in.free = append(in.free, b)
		in.spare += cap(b.buf)
	}
	if in.waiting > 0 {
		in.space.Broadcast()
	}
}

// refuseForever reports whether it was the first to do so.
func (in *intake) refuseForever(err error) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.fatal != nil {
		return false
	}
	in.fatal = err
	in.space.Broadcast()
	return true
}

func (in *intake) refuseUntil(err error, t time.Time) {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.busy, in.until = err, t
	in.space.Broadcast()
}

// failure is why the log is read-only, or nil.
func (in *intake) failure() error {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.fatal
}

func (in *intake) close() {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = true
	in.work.Broadcast()
	in.space.Broadcast()
}
