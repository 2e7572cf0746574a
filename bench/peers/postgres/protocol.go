package postgres

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"

	"github.com/duelog/duelog/bench/peers/child"
)

// maxMessage is the longest message that the client reads.
const maxMessage = 16 << 20

// Types of the server's messages that matter here.
const (
	msgAuthentication = 'R'
	msgDataRow        = 'D'
	msgError          = 'E'
	msgReady          = 'Z'
)

// errProtocol is wrapped by errors about bytes that are not of the protocol.
var errProtocol = errors.New("postgres: not a message of the server")

// conn is a connection for one goroutine; a publisher's writes and reads are two.
type conn struct {
	nc  net.Conn
	r   *bufio.Reader
	buf []byte // of the message that was read last
}

// dial connects as the superuser, whom the server trusts.
func dial(ctx context.Context, port int) (*conn, error) {
	nc, err := child.Dial(ctx, port)
	if err != nil {
		return nil, err
	}
	c := newConn(nc)
	if err := c.hello(ctx); err != nil {
		_ = c.Close() // The connection was not used.
		return nil, err
	}
	return c, nil
}

func newConn(nc net.Conn) *conn { return &conn{nc: nc, r: bufio.NewReaderSize(nc, 64<<10)} }

// Close closes the connection; what is not committed is rolled back.
func (c *conn) Close() error { return c.nc.Close() }

func (c *conn) hello(ctx context.Context) error {
	const parameters = "user\x00postgres\x00database\x00postgres\x00\x00"
	hello := binary.BigEndian.AppendUint32(nil, uint32(8+len(parameters)))
	hello = binary.BigEndian.AppendUint32(hello, 3<<16) // protocol 3.0
	stop := context.AfterFunc(ctx, func() { _ = c.nc.Close() })
	defer stop()
	_, err := c.do(append(hello, parameters...), nil)
	return err
}

// do sends a request and reads up to ReadyForQuery. Each row is handed to row,
// which may be nil and keeps nothing of it. An error of the server comes back as
// the first result, one of the connection as the second.
func (c *conn) do(request []byte, row func([][]byte) error) (refused, err error) {
	if _, err := c.nc.Write(request); err != nil {
		return nil, err
	}
	return c.readResult(row)
}

func (c *conn) readResult(row func([][]byte) error) (refused, err error) {
	for {
		kind, payload, err := c.read()
		if err != nil {
			return refused, err
		}
		switch kind {
		case msgReady:
			return refused, nil
		case msgError:
			if refused == nil {
				refused = serverError(payload)
			}
		case msgAuthentication:
			if len(payload) < 4 || binary.BigEndian.Uint32(payload) != 0 {
				return nil, errors.New("postgres: the server wants a password")
			}
		case msgDataRow:
			columns, err := parseRow(payload)
			if err == nil && row != nil {
				err = row(columns)
			}
			if err != nil {
				return refused, err
			}
		}
	}
}

// read reads one message: its type, and its payload, valid until the next read.
func (c *conn) read() (byte, []byte, error) {
	var head [5]byte
	if _, err := io.ReadFull(c.r, head[:]); err != nil {
		return 0, nil, err
	}
	n := int64(binary.BigEndian.Uint32(head[1:])) - 4
	if n < 0 || n > maxMessage {
		return 0, nil, fmt.Errorf("%w: %d bytes of type %q", errProtocol, n, head[0])
	}
	if int64(cap(c.buf)) < n {
		c.buf = make([]byte, n)
	}
	payload := c.buf[:n]
	_, err := io.ReadFull(c.r, payload)
	return head[0], payload, err
}

// parseRow splits a DataRow: a 16-bit count, then for each column its length as
// 32 bits, -1 for NULL, and its bytes.
func parseRow(b []byte) ([][]byte, error) {
	if len(b) < 2 {
		return nil, fmt.Errorf("%w: a row without a count", errProtocol)
	}
	columns := make([][]byte, binary.BigEndian.Uint16(b))
	b = b[2:]
	for i := range columns {
		if len(b) < 4 {
			return nil, fmt.Errorf("%w: a row that ends early", errProtocol)
		}
		n := int64(int32(binary.BigEndian.Uint32(b)))
		b = b[4:]
		if n < -1 || n > int64(len(b)) {
			return nil, fmt.Errorf("%w: a column of %d bytes", errProtocol, n)
		}
		if n >= 0 {
			columns[i], b = b[:n:n], b[n:]
		}
	}
	return columns, nil
}

// serverError makes an error of an ErrorResponse: fields of a byte and a string
// that ends with zero.
func serverError(b []byte) error {
	var code, text string
	for field := range strings.SplitSeq(string(b), "\x00") {
		switch {
		case strings.HasPrefix(field, "C"):
			code = field[1:]
		case strings.HasPrefix(field, "M"):
			text = field[1:]
		}
	}
	return fmt.Errorf("postgres: %s (%s)", text, code)
}
