package redis

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"

	"github.com/duelog/duelog/bench/peers/child"
)

// Limits of what a server may make the client allocate.
const (
	maxBulk  = 16 << 20
	maxArray = 1 << 20
	maxDepth = 4
)

// errProtocol is wrapped by errors about bytes that are not RESP.
var errProtocol = errors.New("redis: not a reply")

// serverError is an error reply. The connection lives on.
type serverError string

func (e serverError) Error() string { return "redis: " + string(e) }

// appendCommand appends a command in the form of an array of bulk strings.
func appendCommand[T string | []byte](dst []byte, args ...T) []byte {
	dst = appendLength(dst, '*', len(args))
	for _, a := range args {
		dst = appendArg(dst, a)
	}
	return dst
}

func appendArg[T string | []byte](dst []byte, arg T) []byte {
	dst = appendLength(dst, '$', len(arg))
	dst = append(dst, arg...)
	return append(dst, "\r\n"...)
}

func appendLength(dst []byte, kind byte, n int) []byte {
	dst = append(dst, kind)
	dst = strconv.AppendInt(dst, int64(n), 10)
	return append(dst, "\r\n"...)
}

// readReply reads one reply: string for a status, int64, []byte or nil for a
// bulk string, []any, or serverError. The error is about the connection.
func readReply(r *bufio.Reader, depth int) (any, error) {
	line, err := readLine(r)
	if err != nil {
		return nil, err
	}
	text := string(line[1:])
	switch line[0] {
	case '+':
		return text, nil
	case '-':
		return serverError(text), nil
	case ':':
		n, err := strconv.ParseInt(text, 10, 64)
		if err != nil {
			return nil, fmt.Errorf("%w: number %q", errProtocol, text)
		}
		return n, nil
	case '$':
		return readBulk(r, text)
	case '*':
		return readArray(r, text, depth)
	}
	return nil, fmt.Errorf("%w: it starts with %q", errProtocol, line[0])
}

// readLine reads up to CRLF, which it cuts off. What is left is not empty.
func readLine(r *bufio.Reader) ([]byte, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	if len(line) < 3 || line[len(line)-2] != '\r' {
		return nil, fmt.Errorf("%w: line %.40q", errProtocol, line)
	}
	return line[:len(line)-2], nil
}

func readBulk(r *bufio.Reader, text string) (any, error) {
	n, err := parseLength(text, maxBulk)
	if err != nil || n < 0 {
		return nil, err
	}
	b := make([]byte, n+2)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	if string(b[n:]) != "\r\n" {
		return nil, fmt.Errorf("%w: a string without its end", errProtocol)
	}
	return b[:n:n], nil
}

func readArray(r *bufio.Reader, text string, depth int) (any, error) {
	n, err := parseLength(text, maxArray)
	if err != nil || n < 0 {
		return nil, err
	}
	if depth >= maxDepth {
		return nil, fmt.Errorf("%w: arrays nested too deep", errProtocol)
	}
	var items []any
	for range n {
		item, err := readReply(r, depth+1)
		if err != nil {
			return nil, err
		}
		items = append(items, item)
	}
	return items, nil
}

// parseLength parses a length from -1, which stands for nil, to limit.
func parseLength(text string, limit int) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < -1 || n > limit {
		return 0, fmt.Errorf("%w: length %.40q", errProtocol, text)
	}
	return n, nil
}

// conn is a connection for one goroutine.
type conn struct {
	nc net.Conn
	r  *bufio.Reader
}

func newConn(nc net.Conn) *conn { return &conn{nc: nc, r: bufio.NewReaderSize(nc, 64<<10)} }

func dial(ctx context.Context, port int) (*conn, error) {
	nc, err := child.Dial(ctx, port)
	if err != nil {
		return nil, err
	}
	return newConn(nc), nil
}

// Close closes the connection.
func (c *conn) Close() error { return c.nc.Close() }

// do sends one or more encoded commands and returns the reply to the last; an
// error reply to any of them is an error.
func (c *conn) do(request []byte, commands int) (any, error) {
	if _, err := c.nc.Write(request); err != nil {
		return nil, err
	}
	var last any
	var refused error
	for range commands {
		reply, err := readReply(c.r, 0)
		if err != nil {
			return nil, err
		}
		if e, ok := reply.(serverError); ok && refused == nil {
			refused = e
		}
		last = reply
	}
	return last, refused
}
