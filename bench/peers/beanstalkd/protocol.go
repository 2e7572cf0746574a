package beanstalkd

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"

	"github.com/duelog/duelog/bench/peers/child"
)

// maxBody is the largest job that the server is told to take, and the client to
// read.
const maxBody = 4 << 20

// errProtocol is wrapped by errors about lines that are no reply.
var errProtocol = errors.New("beanstalkd: not a reply")

// reply is one answer: the words of its line, and the bytes after it if it has.
type reply struct {
	words []string
	body  []byte // valid until the next reply
}

func (r reply) is(word string) bool { return r.words[0] == word }

// err describes a reply that is not the one that was hoped for.
func (r reply) err() error {
	return fmt.Errorf("beanstalkd answers %s", strings.Join(r.words, " "))
}

// conn is a connection for one goroutine.
type conn struct {
	nc  net.Conn
	r   *bufio.Reader
	buf []byte
}

func dial(ctx context.Context, port int) (*conn, error) {
	nc, err := child.Dial(ctx, port)
	if err != nil {
		return nil, err
	}
	return newConn(nc), nil
}

func newConn(nc net.Conn) *conn { return &conn{nc: nc, r: bufio.NewReaderSize(nc, 16<<10)} }

// Close closes the connection.
func (c *conn) Close() error { return c.nc.Close() }

// readReply reads a line, and the body of the replies that have one: RESERVED
// <id> <bytes> and OK <bytes>.
func (c *conn) readReply() (reply, error) {
	words, err := readLine(c.r)
	if err != nil {
		return reply{}, err
	}
	last := len(words) - 1
	if words[0] != "RESERVED" && words[0] != "OK" {
		return reply{words: words}, nil
	}
	n, err := strconv.Atoi(words[last])
	if err != nil || n < 0 || n > maxBody {
		return reply{}, fmt.Errorf("%w: length %.40q", errProtocol, words[last])
	}
	if cap(c.buf) < n+2 {
		c.buf = make([]byte, n+2)
	}
	body := c.buf[:n+2]
	if _, err := io.ReadFull(c.r, body); err != nil {
		return reply{}, err
	}
	if string(body[n:]) != "\r\n" {
		return reply{}, fmt.Errorf("%w: a body without its end", errProtocol)
	}
	return reply{words: words, body: body[:n]}, nil
}

// readLine reads a line of at least one word.
func readLine(r *bufio.Reader) ([]string, error) {
	line, err := r.ReadSlice('\n')
	if err != nil {
		return nil, err
	}
	words := strings.Fields(string(line))
	if len(words) == 0 || len(line) < 2 || line[len(line)-2] != '\r' {
		return nil, fmt.Errorf("%w: line %.40q", errProtocol, line)
	}
	return words, nil
}

// ask sends one command over a connection of its own.
func ask(ctx context.Context, port int, command string) (reply, error) {
	c, err := dial(ctx, port)
	if err != nil {
		return reply{}, err
	}
	defer c.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.nc.SetDeadline(deadline) // else it fails when the server ends
	}
	if _, err := c.nc.Write([]byte(command + "\r\n")); err != nil {
		return reply{}, err
	}
	return c.readReply()
}
