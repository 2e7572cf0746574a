package remoting

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// Errors of a connection.
var (
	// ErrClosed is returned, wrapped with the cause, by everything that would
	// send on a connection that is closed.
	ErrClosed = errors.New("remoting: connection closed")
	// ErrSlowReader means that the peer does not read what it is sent: MaxOutBytes
	// are waiting. A server closes such a connection.
	ErrSlowReader = errors.New("remoting: peer does not read, too many bytes queued")
	// ErrTooLarge is returned for a frame above MaxFrame; nothing was queued.
	ErrTooLarge = errors.New("remoting: frame too large")
)

// Handler serves the requests of connections.
type Handler interface {
	// Handle is called on the reader goroutine of c, one request after the other.
	// cmd and all its strings and bytes are valid until it returns. It must not
	// wait for a request to the same connection, and should not block otherwise:
	// nothing else is read from c. Answers that are queued go out all the same,
	// 2 ms later than they could at most.
	// Every request that is not one-way needs exactly one Reply, now or later.
	Handle(c *Conn, cmd *Command)
	// Closed is called once per connection, after its last Handle has returned.
	Closed(c *Conn)
}

// Conn is one connection, on either side. All its methods may be called from any
// goroutine at any time; those that send never block, they only queue.
type Conn struct {
	nc            net.Conn
	local, remote netip.AddrPort
	handler       Handler
	limits        limits
	stats         *counters
	calls         callTable // requests of ours that wait for a response
	values        valueTable

	in frameReader // reader goroutine only

	progress atomic.Uint32 // changes whenever bytes went in or out
	greeted  atomic.Bool   // a whole frame was received
	queued   atomic.Int64  // bytes that wait or are being written; changed under mu
	inflight atomic.Int64  // requests received and not answered yet

	mu        sync.Mutex
	wake      sync.Cond   // writer: there is something to write, or to end
	room      sync.Cond   // reader: queued fell, or the connection is closed
	queue     []*chunk    // frames to write: small ones share a buffer, large ones have their own
	corked    bool        // the reader is at work and will uncork soon
	timed     bool        // corkTimer runs
	corkTimer *time.Timer // ends a cork that lasts; nil until the first one
	idle      bool        // the writer waits in wake
	draining  bool        // no more reading; close when all is answered and written
	readDone  bool        // the reader has ended because of draining
	closed    bool
	reason    CloseReason
	cause     error

	writerDone chan struct{}
	done       chan struct{} // both goroutines have ended, Closed was called
}

// limits are the options that a Conn needs.
type limits struct {
	maxFrame  int
	maxOut    int
	closeSlow bool // close instead of refusing when maxOut is exceeded
}

func newConn(nc net.Conn, h Handler, l limits, stats *counters) *Conn {
	c := &Conn{
		nc: nc, handler: h, limits: l, stats: stats,
		local: addrPort(nc.LocalAddr()), remote: addrPort(nc.RemoteAddr()),
		in:         newFrameReader(l.maxFrame),
		writerDone: make(chan struct{}),
		done:       make(chan struct{}),
	}
	c.wake.L = &c.mu
	c.room.L = &c.mu
	return c
}

func addrPort(a net.Addr) netip.AddrPort {
	t, ok := a.(*net.TCPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := t.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// Congested reports whether so much waits to be written that no requests are
// read either: more than half of MaxOutBytes. Who has something large to send, and
// may leave it, looks here first.
func (c *Conn) Congested() bool { return c.queued.Load() > int64(c.limits.maxOut/2) }

// RemoteAddr returns the address of the peer, IPv4 when it is a mapped one, and
// the zero value when the transport is not TCP.
func (c *Conn) RemoteAddr() netip.AddrPort { return c.remote }

// LocalAddr returns our address on this connection, in the form of RemoteAddr.
func (c *Conn) LocalAddr() netip.AddrPort { return c.local }

// Set attaches a value to the connection, as context.WithValue does: use a key
// of a type of your own.
func (c *Conn) Set(key, value any) { c.values.set(key, value) }

// Value returns what Set attached under key, or nil.
func (c *Conn) Value(key any) any { return c.values.get(key) }

// Close closes the connection at once; what is queued is lost. Closed is called
// later, on the reader goroutine.
func (c *Conn) Close() error {
	c.shut(CloseLocal, errors.New("closed locally"))
	return nil
}

// Done returns a channel that is closed after the connection has ended and
// Handler.Closed has returned.
func (c *Conn) Done() <-chan struct{} { return c.done }

// Err returns why the connection was closed, and nil while it is open.
func (c *Conn) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closedError()
}

// closedError is ErrClosed with the cause, or nil; c.mu is held.
func (c *Conn) closedError() error {
	if !c.closed {
		return nil
	}
	return fmt.Errorf("%w: %w", ErrClosed, c.cause)
}

// shut closes the connection; the first caller's reason stands.
func (c *Conn) shut(reason CloseReason, cause error) {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	c.closed, c.reason, c.cause = true, reason, cause
	if c.corkTimer != nil {
		c.corkTimer.Stop()
	}
	c.wake.Signal()
	c.room.Signal()
	c.mu.Unlock()
	c.nc.Close() // unblocks reader and writer
}

// run serves the connection until it ends. It is the reader goroutine.
func (c *Conn) run() {
	go c.writeLoop()
	c.readLoop()
	<-c.writerDone
	c.calls.fail(c.Err())
	c.handler.Closed(c)
	c.in.release()
	close(c.done)
}

// valueTable is a small map that is read rarely and written hardly ever.
type valueTable struct {
	mu sync.Mutex
	m  map[any]any
}

func (t *valueTable) set(key, value any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.m == nil {
		t.m = make(map[any]any)
	}
	t.m[key] = value
}

func (t *valueTable) get(key any) any {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.m[key]
}
