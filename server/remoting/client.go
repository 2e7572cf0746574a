package remoting

import (
	"context"
	"errors"
	"fmt"
	"net"
)

// ClientOptions configure a Client. The zero value of a field means its default.
type ClientOptions struct {
	// MaxFrame is the longest frame taken or sent, in bytes. Default 16 MiB.
	MaxFrame int
	// MaxOutBytes is how much may wait to be written; beyond it requests fail
	// with ErrSlowReader. Default 64 MiB.
	MaxOutBytes int
	// OnRequest serves requests of the server, on the reader goroutine, under the
	// rules of Handler.Handle. Default: answer that the code is not supported.
	OnRequest func(c *Conn, cmd *Command)
	// OnClose, when not nil, is called once, after the last callback.
	OnClose func(err error)
}

// Client is one connection to a server. It does not reconnect: when the
// connection ends every call fails, and the owner dials again if it likes.
// All methods may be called from any goroutine.
type Client struct{ conn *Conn }

// Dial connects to addr. ctx bounds the dialing only; o may be nil.
func Dial(ctx context.Context, addr string, o *ClientOptions) (*Client, error) {
	var d net.Dialer
	nc, err := d.DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("dial %s: %w", addr, err)
	}
	return NewClient(nc, o), nil
}

// NewClient speaks the protocol over a connection that exists, and owns it from
// then on. o may be nil.
func NewClient(nc net.Conn, o *ClientOptions) *Client {
	var opts ClientOptions
	if o != nil {
		opts = *o
	}
	setDefault(&opts.MaxFrame, 16<<20)
	setDefault(&opts.MaxOutBytes, 64<<20)
	l := limits{maxFrame: opts.MaxFrame, maxOut: opts.MaxOutBytes}
	c := newConn(nc, clientHandler{opts}, l, new(counters))
	go c.run()
	return &Client{conn: c}
}

// Conn returns the connection underneath.
func (c *Client) Conn() *Conn { return c.conn }

// Invoke sends a request and waits for its response. See Conn.Invoke.
func (c *Client) Invoke(ctx context.Context, cmd *Command) (*Command, error) {
	return c.conn.Invoke(ctx, cmd)
}

// Go sends a request and calls done with its response. See Conn.Go.
func (c *Client) Go(cmd *Command, done func(*Command, error)) { c.conn.Go(cmd, done) }

// Oneway sends a request that wants no answer. See Conn.Oneway.
func (c *Client) Oneway(cmd *Command) error { return c.conn.Oneway(cmd) }

// Close closes the connection and waits until the last callback has returned, so
// it must not be called from one; Conn().Close may. It is idempotent.
func (c *Client) Close() error {
	c.conn.shut(CloseShutdown, errors.New("client closed"))
	<-c.conn.done
	return nil
}

// clientHandler serves the few requests that servers send.
type clientHandler struct{ opts ClientOptions }

func (h clientHandler) Handle(c *Conn, cmd *Command) {
	if h.opts.OnRequest != nil {
		h.opts.OnRequest(c, cmd)
		return
	}
	// An error means that the connection is closed, which the reader notices.
	_ = c.Reply(cmd.Token(), RespRequestCodeNotSupported, "request not supported", nil, nil)
}

func (h clientHandler) Closed(c *Conn) {
	if h.opts.OnClose != nil {
		h.opts.OnClose(c.Err())
	}
}
