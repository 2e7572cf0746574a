package remoting

import (
	"errors"
	"fmt"
	"net"
	"time"
)

const (
	// inlineBody is the largest body that is copied into the shared out buffer;
	// a larger one gets a buffer of its own, so that nobody waits for the copy.
	inlineBody = 4 << 10
	// flushBytes wakes the writer although the connection is corked.
	flushBytes = 64 << 10
	// firstOut and nextOut are the sizes of the buffers that small frames share:
	// the first one that is queued and those behind it.
	firstOut = 8 << 10
	nextOut  = 64 << 10
)

// Reply answers the request that t came from; for a one-way request it does
// nothing. body is copied. The error is ErrClosed, ErrSlowReader (the connection
// is closed then) or ErrTooLarge, after which another Reply is possible.
func (c *Conn) Reply(t Token, code int32, remark string, ext []Field, body []byte) error {
	if t.Oneway {
		return nil
	}
	h := replyHeader(t, code, remark, ext)
	return c.sendBody(t.Serialize, &h, body)
}

// ReplyFunc is Reply with a body that appendBody writes straight into the buffer
// that is sent. bodySize is how much that will be, as a hint. appendBody runs
// before ReplyFunc returns and outside of all locks. Unlike Reply it does not close
// the connection with ErrSlowReader: a smaller answer may still fit.
func (c *Conn) ReplyFunc(t Token, code int32, remark string, ext []Field, bodySize int, appendBody func(dst []byte) []byte) error {
	if t.Oneway {
		return nil
	}
	h := replyHeader(t, code, remark, ext)
	return c.sendLarge(t.Serialize, &h, bodySize, appendBody)
}

// Oneway sends cmd as a request that wants no answer. Opaque and Flag of cmd are
// not used; cmd may be used again at once.
func (c *Conn) Oneway(cmd *Command) error {
	h := requestHeader(cmd, c.calls.nextOpaque(), FlagOneway)
	return c.sendBody(cmd.Serialize, &h, cmd.Body)
}

// Flush lets the writer send at once what is queued, although the reader has more
// frames at hand. It is never needed: without it the writer waits corkAtMost. A
// handler that is about to do something slow may spare its peer that.
func (c *Conn) Flush() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.release()
}

func (c *Conn) sendBody(s Serialize, h *header, body []byte) error {
	if len(body) <= inlineBody {
		return c.send(s, h, body)
	}
	err := c.sendLarge(s, h, len(body), func(dst []byte) []byte { return append(dst, body...) })
	return c.refuse(err)
}

// send queues a frame in the last buffer of the queue, behind other small ones.
func (c *Conn) send(s Serialize, h *header, body []byte) error {
	c.mu.Lock()
	if err := c.admit(len(body)); err != nil {
		c.mu.Unlock()
		return c.refuse(err)
	}
	k := c.lastChunk(headerSizeHint(h) + len(body))
	start := len(k.b)
	k.b = appendHead(k.b, s, h)
	k.b = append(k.b, body...)
	n := len(k.b) - start
	if n-4 > c.limits.maxFrame {
		k.b = k.b[:start]
		c.mu.Unlock()
		return tooLarge(n-4, c.limits.maxFrame)
	}
	setLength(k.b[start:])
	c.enqueued(n, h)
	c.mu.Unlock()
	return nil
}

// lastChunk returns the buffer at the end of the queue, or a new one when that
// has no room for n more bytes; c.mu is held.
func (c *Conn) lastChunk(n int) *chunk {
	size := firstOut
	if last := len(c.queue) - 1; last >= 0 {
		if k := c.queue[last]; cap(k.b)-len(k.b) >= n {
			return k
		}
		size = nextOut
	}
	k := getChunk(max(size, n))
	c.queue = append(c.queue, k)
	return k
}

// sendLarge queues a frame in a buffer of its own, built outside of the lock. It
// leaves it to the caller to refuse an ErrSlowReader.
func (c *Conn) sendLarge(s Serialize, h *header, bodySize int, appendBody func([]byte) []byte) error {
	k := getChunk(headerSizeHint(h) + max(bodySize, 0))
	k.b = appendBody(appendHead(k.b, s, h))
	n := len(k.b)
	if n-4 > c.limits.maxFrame {
		putChunk(k)
		return tooLarge(n-4, c.limits.maxFrame)
	}
	setLength(k.b)
	c.mu.Lock()
	if err := c.admit(n); err != nil {
		c.mu.Unlock()
		putChunk(k)
		return err
	}
	c.queue = append(c.queue, k)
	c.enqueued(n, h)
	c.mu.Unlock()
	return nil
}

func headerSizeHint(h *header) int {
	n := 192 + len(h.remark)
	for i := range h.ext {
		n += len(h.ext[i].Key) + len(h.ext[i].Value) + 8
	}
	return n
}

func tooLarge(n, limit int) error {
	return fmt.Errorf("%w: %d bytes, at most %d", ErrTooLarge, n, limit)
}

// admit reports whether n more bytes may be queued; c.mu is held. One frame may
// exceed the limit unless more than half of it is used up.
func (c *Conn) admit(n int) error {
	if c.closed {
		return c.closedError()
	}
	if q := c.queued.Load(); c.Congested() && q+int64(n) > int64(c.limits.maxOut) {
		return fmt.Errorf("%w: %d bytes", ErrSlowReader, q)
	}
	return nil
}

// refuse does what a failed admit demands, without c.mu.
func (c *Conn) refuse(err error) error {
	if c.limits.closeSlow && errors.Is(err, ErrSlowReader) {
		c.shut(CloseSlowReader, err)
	}
	return err
}

// enqueued accounts for n queued bytes and wakes the writer; c.mu is held.
func (c *Conn) enqueued(n int, h *header) {
	queued := c.queued.Add(int64(n))
	if h.flag&FlagResponse != 0 {
		c.inflight.Add(-1)
	}
	if c.idle && (!c.corked || queued >= flushBytes) {
		c.wake.Signal()
	}
	if c.corked && !c.timed {
		c.limitCork()
	}
}

// corkAtMost bounds how long an answer waits for the reader to come to the end
// of what it has at hand: a handler may block without knowing it before.
const corkAtMost = 2 * time.Millisecond

// limitCork has the cork taken off after corkAtMost; c.mu is held. The timer is
// set at most once in that time, whatever the number of answers.
func (c *Conn) limitCork() {
	c.timed = true
	if c.corkTimer == nil {
		c.corkTimer = time.AfterFunc(corkAtMost, c.uncorkLate)
		return
	}
	c.corkTimer.Reset(corkAtMost)
}

// uncorkLate runs on the timer's goroutine.
func (c *Conn) uncorkLate() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.timed = false
	if c.corked && len(c.queue) > 0 {
		c.release()
	}
}

// outBatch is what the writer takes at once. Its queue swaps places with that of
// the connection.
type outBatch struct {
	queue []*chunk
	bufs  net.Buffers
}

// writeLoop writes what is queued until the connection ends.
func (c *Conn) writeLoop() {
	defer close(c.writerDone)
	var b outBatch
	for c.take(&b) {
		n, err := b.writeTo(c.nc)
		c.stats.bytesOut.Add(uint64(n))
		if err != nil {
			c.shut(ClosePeer, err)
			return
		}
		c.progress.Add(1)
		c.written(int(n))
	}
}

// take waits for something to write and moves it into b. It reports false at the
// end of the connection, which it brings about itself when that is drained.
func (c *Conn) take(b *outBatch) bool {
	c.mu.Lock()
	for !c.closed && !c.ready() && !c.drained() {
		c.idle = true
		c.wake.Wait()
		c.idle = false
	}
	if c.closed {
		c.mu.Unlock()
		return false
	}
	if !c.ready() {
		c.mu.Unlock()
		c.shut(CloseShutdown, errors.New("drained"))
		return false
	}
	c.queue, b.queue = b.queue[:0], c.queue
	c.mu.Unlock()
	return true
}

// ready reports whether the writer should write now; c.mu is held.
func (c *Conn) ready() bool {
	if len(c.queue) == 0 {
		return false
	}
	return !c.corked || c.queued.Load() >= flushBytes
}

// drained reports whether a draining connection has nothing left to do; c.mu is
// held. All that is queued counts as written only when ready is false too.
func (c *Conn) drained() bool {
	return c.draining && c.readDone && c.inflight.Load() <= 0
}

// written accounts for n bytes that the kernel has taken.
func (c *Conn) written(n int) {
	c.mu.Lock()
	c.queued.Add(int64(-n))
	c.room.Signal()
	c.mu.Unlock()
}

// writeTo writes the batch with as few system calls as possible, and gives its
// buffers back.
func (b *outBatch) writeTo(nc net.Conn) (n int64, err error) {
	if len(b.queue) == 1 {
		m, err := nc.Write(b.queue[0].b)
		b.recycle()
		return int64(m), err
	}
	bufs := b.bufs[:0]
	for _, k := range b.queue {
		bufs = append(bufs, k.b)
	}
	b.bufs = bufs // WriteTo consumes bufs itself; this keeps its memory
	n, err = bufs.WriteTo(nc)
	b.recycle()
	return n, err
}

func (b *outBatch) recycle() {
	for i, k := range b.queue {
		putChunk(k)
		b.queue[i] = nil
	}
	b.queue = b.queue[:0]
}
