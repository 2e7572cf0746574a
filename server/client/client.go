package client

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/duelog/duelog/server/remoting"
)

// Defaults of Options.
const (
	DefaultNameServer = "127.0.0.1:9876"
	DefaultTimeout    = 10 * time.Second
)

// Options of New. The zero value of a field means its default; nil is allowed.
type Options struct {
	// NameServer is HOST:PORT, or several separated by semicolons, of which the
	// first that answers is asked.
	NameServer string
	// Timeout bounds a request, dialing included. A pull that waits at the broker
	// may take that much longer.
	Timeout time.Duration
}

// Client talks to the name server and the brokers of a cluster.
type Client struct {
	servers []string
	timeout time.Duration

	mu     sync.Mutex
	conns  map[string]*remoting.Client // by address; guarded by mu
	closed bool                        // guarded by mu
}

// ErrClosed is returned by every method after Close.
var ErrClosed = errors.New("client is closed")

// New returns a client. It dials when it is first asked something.
func New(o *Options) *Client {
	var opts Options
	if o != nil {
		opts = *o
	}
	if opts.NameServer == "" {
		opts.NameServer = DefaultNameServer
	}
	if opts.Timeout == 0 {
		opts.Timeout = DefaultTimeout
	}
	c := &Client{timeout: opts.Timeout, conns: map[string]*remoting.Client{}}
	for s := range strings.SplitSeq(opts.NameServer, ";") {
		if s = strings.TrimSpace(s); s != "" {
			c.servers = append(c.servers, s)
		}
	}
	return c
}

// Close ends all connections. It is idempotent.
func (c *Client) Close() error {
	c.mu.Lock()
	conns := c.conns
	c.conns, c.closed = nil, true
	c.mu.Unlock()
	var errs []error
	for _, conn := range conns {
		errs = append(errs, conn.Close())
	}
	return errors.Join(errs...)
}

// RefusedError is an answer with another code than success.
type RefusedError struct {
	Addr   string // of the server; may be empty
	Code   int32
	Remark string
}

// Error names code and remark.
func (e *RefusedError) Error() string {
	at := ""
	if e.Addr != "" {
		at = " by " + e.Addr
	}
	return fmt.Sprintf("refused%s with code %d (%s): %s", at, e.Code, remoting.ResponseName(e.Code), e.Remark)
}

// Refused returns nil for a success, and for answers of replicas that lag: the
// broker itself has the message. It keeps nothing of r.
func Refused(r *remoting.Command) error {
	switch r.Code {
	case remoting.RespSuccess, remoting.RespFlushSlaveTimeout, remoting.RespSlaveNotAvailable:
		return nil
	}
	return &RefusedError{Code: r.Code, Remark: strings.Clone(r.Remark)}
}

// IsRefused reports whether err is a refusal with this code.
func IsRefused(err error, code int32) bool {
	var r *RefusedError
	return errors.As(err, &r) && r.Code == code
}

// Ask sends a request to addr and returns its answer, whatever its code.
func (c *Client) Ask(ctx context.Context, addr string, cmd *remoting.Command) (*remoting.Command, error) {
	return c.ask(ctx, addr, cmd, c.timeout)
}

func (c *Client) ask(ctx context.Context, addr string, cmd *remoting.Command, timeout time.Duration) (*remoting.Command, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, timeout, fmt.Errorf("%s did not answer within %v", addr, timeout))
	defer cancel()
	conn, err := c.conn(ctx, addr)
	if err != nil {
		return nil, withCause(ctx, err)
	}
	r, err := conn.Invoke(ctx, cmd)
	if err != nil {
		return nil, fmt.Errorf("ask %s for %s: %w", addr, remoting.RequestName(cmd.Code), withCause(ctx, err))
	}
	return r, nil
}

// withCause says what ended ctx when that is why err happened.
func withCause(ctx context.Context, err error) error {
	if cause := context.Cause(ctx); cause != nil && errors.Is(err, ctx.Err()) {
		return cause
	}
	return err
}

// Do is Ask for requests where everything but success is a refusal.
func (c *Client) Do(ctx context.Context, addr string, code int32, body []byte, ext ...remoting.Field) (*remoting.Command, error) {
	cmd := remoting.NewRequest(code, ext...)
	cmd.Body = body
	r, err := c.Ask(ctx, addr, cmd)
	if err != nil {
		return nil, err
	}
	return r, refusedBy(addr, r)
}

func refusedBy(addr string, r *remoting.Command) error {
	err := Refused(r)
	var refused *RefusedError
	if errors.As(err, &refused) {
		refused.Addr = addr
	}
	return err
}

// conn returns the connection to addr and dials when there is none that lives.
func (c *Client) conn(ctx context.Context, addr string) (*remoting.Client, error) {
	c.mu.Lock()
	old, closed := c.conns[addr], c.closed
	c.mu.Unlock()
	if closed {
		return nil, ErrClosed
	}
	if old != nil && old.Conn().Err() == nil {
		return old, nil
	}
	fresh, err := remoting.Dial(ctx, addr, nil)
	if err != nil {
		return nil, err
	}
	return c.keep(addr, old, fresh)
}

// keep makes fresh the connection to addr unless another one was faster.
func (c *Client) keep(addr string, old, fresh *remoting.Client) (*remoting.Client, error) {
	c.mu.Lock()
	present := c.conns[addr]
	closed := c.closed
	won := !closed && present == old
	if won {
		c.conns[addr] = fresh
	}
	c.mu.Unlock()
	switch {
	case won && old != nil:
		return fresh, ignore(old.Close()) // it had ended already
	case won:
		return fresh, nil
	case closed:
		return nil, errors.Join(ErrClosed, fresh.Close())
	}
	return present, ignore(fresh.Close())
}

// ignore drops the error of closing a connection that nobody uses.
func ignore(error) error { return nil }

// nameServer asks the name servers in turn until one answers.
func (c *Client) nameServer(ctx context.Context, code int32, ext ...remoting.Field) (*remoting.Command, error) {
	var errs []error
	for _, addr := range c.servers {
		r, err := c.Do(ctx, addr, code, nil, ext...)
		var refused *RefusedError
		if err == nil || errors.As(err, &refused) {
			return r, err
		}
		errs = append(errs, err)
	}
	return nil, errors.Join(errs...)
}

func field(key, value string) remoting.Field { return remoting.Field{Key: key, Value: value} }

func number[T ~int32 | ~int64 | ~int](key string, v T) remoting.Field {
	return field(key, strconv.FormatInt(int64(v), 10))
}
