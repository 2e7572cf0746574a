package remoting

import (
	"errors"
	"fmt"
	"io"
)

// keepScratch is how much memory for unescaped strings a connection keeps.
const keepScratch = 64 << 10

// readLoop reads and dispatches frames until the connection ends. While frames
// are at hand the writer is corked: the answers to one read go out in one write.
func (c *Conn) readLoop() {
	var cmd Command
	frames := uint64(0)
	defer func() { c.stats.frames.Add(frames) }()
	for {
		frame, ok, err := c.in.next()
		if err != nil {
			c.shut(CloseFraming, err)
			return
		}
		if ok {
			frames++
			if !c.dispatch(frame, &cmd) {
				return
			}
			continue
		}
		c.stats.frames.Add(frames)
		if frames > 0 && !c.greeted.Load() {
			c.greeted.Store(true)
		}
		frames = 0
		if !c.fill() {
			return
		}
	}
}

// fill reads once, with the writer uncorked meanwhile. It reports false when the
// reader has to end.
func (c *Conn) fill() bool {
	if !c.uncork() {
		return false
	}
	n, err := c.in.fill(c.nc)
	if n > 0 {
		c.progress.Add(1)
		c.stats.bytesIn.Add(uint64(n))
	}
	c.mu.Lock()
	c.corked = c.in.several() // one answer has nothing to wait for
	draining := c.draining
	c.mu.Unlock()
	switch {
	case err == nil || n > 0:
		return true
	case draining && !errors.Is(err, io.EOF):
		c.finishReading()
	case errors.Is(err, io.EOF):
		c.shut(ClosePeer, errors.New("closed by peer"))
	default:
		c.shut(ClosePeer, err)
	}
	return false
}

// uncork lets the writer go on, and waits while more than half of MaxOutBytes
// are queued: a peer that does not read its answers gets no more requests read.
func (c *Conn) uncork() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.release()
	c.waitForRoom()
	return !c.closed
}

// release takes the cork off; c.mu is held.
func (c *Conn) release() {
	c.corked = false
	if c.idle {
		c.wake.Signal()
	}
}

// waitForRoom waits until at most half of MaxOutBytes is queued; c.mu is held.
func (c *Conn) waitForRoom() {
	for c.Congested() && !c.closed {
		c.room.Wait()
	}
}

// finishReading ends the reader of a draining connection; the writer closes it.
func (c *Conn) finishReading() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.corked = false
	c.readDone = true
	c.wake.Signal()
}

// dispatch handles one frame. It reports false when the connection is of no use
// any more.
func (c *Conn) dispatch(frame []byte, cmd *Command) bool {
	if c.Congested() && !c.uncork() {
		return false
	}
	if err := Decode(frame, cmd); err != nil {
		return c.undecoded(err)
	}
	if cmd.IsResponse() {
		c.calls.deliver(cmd)
	} else {
		if !cmd.IsOneway() {
			c.inflight.Add(1)
		}
		c.handler.Handle(c, cmd)
	}
	if poisonFrames {
		poison(frame)
	}
	if cap(cmd.scratch) > keepScratch {
		cmd.scratch = nil
	}
	return true
}

// undecoded deals with a frame that Decode refused, and reports whether the
// connection lives on.
func (c *Conn) undecoded(err error) bool {
	var bad *HeaderError
	if !errors.As(err, &bad) {
		c.shut(CloseFraming, err)
		return false
	}
	c.stats.badHeaders.Add(1)
	c.badHeader(bad)
	return true
}

// badHeader answers a request whose header did not decode, if that is possible.
// A response that did not decode ends the call it belongs to.
func (c *Conn) badHeader(bad *HeaderError) {
	switch {
	case bad.Answer:
		c.inflight.Add(1)
		// An error means that the connection is closed, which the reader notices.
		_ = c.Reply(bad.Token, RespSystemError, bad.Error(), nil, nil)
	case bad.Response:
		if fn := c.calls.take(bad.Token.Opaque); fn != nil {
			fn(nil, fmt.Errorf("decode response: %w", bad))
		}
	}
}
