package nats

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"strings"
	"sync"

	"github.com/duelog/duelog/bench/peers/child"
)

// maxMessage is the longest header and payload that the client reads.
const maxMessage = 8 << 20

// errProtocol is wrapped by errors about bytes that are not NATS.
var errProtocol = errors.New("nats: not a message of the server")

// frame is one message of the server.
type frame struct {
	verb    string // INFO, MSG (HMSG too), PING, PONG, +OK
	subject string
	reply   string
	header  []byte // valid until the next frame
	payload []byte // valid until the next frame
}

// conn is a connection with one reader and any number of writers.
type conn struct {
	nc  net.Conn
	r   *bufio.Reader
	buf []byte // of the frame that was read last

	mu sync.Mutex
	w  *bufio.Writer // guarded by mu
}

// dial connects and says hello.
func dial(ctx context.Context, port int) (*conn, error) {
	nc, err := child.Dial(ctx, port)
	if err != nil {
		return nil, err
	}
	c := &conn{nc: nc, r: bufio.NewReaderSize(nc, 64<<10), w: bufio.NewWriterSize(nc, 256<<10)}
	if err := c.hello(); err != nil {
		_ = nc.Close() // The connection was not used.
		return nil, err
	}
	return c, nil
}

// Close closes the connection.
func (c *conn) Close() error { return c.nc.Close() }

func (c *conn) hello() error {
	if err := c.expect("INFO"); err != nil {
		return err
	}
	const connect = `CONNECT {"verbose":false,"pedantic":false,"headers":true,"no_responders":false,"protocol":1}`
	if err := c.write(true, connect, "\r\nPING\r\n"); err != nil {
		return err
	}
	return c.expect("PONG")
}

func (c *conn) expect(verb string) error {
	f, err := c.read()
	if err == nil && f.verb != verb {
		err = fmt.Errorf("%w: %s instead of %s", errProtocol, f.verb, verb)
	}
	return err
}

// write buffers the parts of one message, and sends what is buffered if flush.
func (c *conn) write(flush bool, parts ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, part := range parts {
		_, _ = c.w.WriteString(part) // The error comes again with Flush.
	}
	if !flush {
		return nil
	}
	return c.w.Flush()
}

// publish buffers a message.
func (c *conn) publish(subject, reply, header string, payload []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	head := c.w.AvailableBuffer()
	if header == "" {
		head = append(head, "PUB "...)
	} else {
		head = append(head, "HPUB "...)
	}
	head = append(append(head, subject...), ' ')
	if reply != "" {
		head = append(append(head, reply...), ' ')
	}
	if header != "" {
		head = append(strconv.AppendInt(head, int64(len(header)), 10), ' ')
	}
	head = append(strconv.AppendInt(head, int64(len(header)+len(payload)), 10), "\r\n"...)
	// The error of a write comes again with Flush.
	_, _ = c.w.Write(head)
	_, _ = c.w.WriteString(header)
	_, _ = c.w.Write(payload)
	_, _ = c.w.WriteString("\r\n")
}

// next returns the next MSG, and answers the server's PINGs on the way.
func (c *conn) next() (frame, error) {
	for {
		f, err := c.read()
		switch {
		case err != nil || f.verb == "MSG":
			return f, err
		case f.verb == "PING":
			if err := c.write(true, "PONG\r\n"); err != nil {
				return frame{}, err
			}
		}
	}
}

// read reads one frame. An -ERR of the server is an error.
func (c *conn) read() (frame, error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return frame{}, err
	}
	verb, rest, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
	verb = strings.ToUpper(verb)
	switch verb {
	case "MSG", "HMSG":
		return c.readMessage(verb == "HMSG", strings.Fields(rest))
	case "INFO", "PING", "PONG", "+OK":
		return frame{verb: verb}, nil
	case "-ERR":
		return frame{}, fmt.Errorf("nats: %s", rest)
	}
	return frame{}, fmt.Errorf("%w: %.60q", errProtocol, line)
}

// readMessage reads the bytes of MSG <subject> <sid> [reply] <total> and HMSG
// <subject> <sid> [reply] <header> <total>.
func (c *conn) readMessage(withHeader bool, words []string) (frame, error) {
	sizes := 1
	if withHeader {
		sizes = 2
	}
	names := len(words) - sizes
	if names != 2 && names != 3 {
		return frame{}, fmt.Errorf("%w: %q", errProtocol, words)
	}
	total, err := strconv.Atoi(words[len(words)-1])
	head := 0
	if withHeader && err == nil {
		head, err = strconv.Atoi(words[names])
	}
	if err != nil || head < 0 || total < head || total > maxMessage {
		return frame{}, fmt.Errorf("%w: sizes in %q", errProtocol, words)
	}
	if cap(c.buf) < total+2 {
		c.buf = make([]byte, total+2)
	}
	b := c.buf[:total+2]
	if _, err := io.ReadFull(c.r, b); err != nil {
		return frame{}, err
	}
	f := frame{verb: "MSG", subject: words[0], header: b[:head], payload: b[head:total]}
	if names == 3 {
		f.reply = words[2]
	}
	return f, nil
}

// request sends a JetStream API request, without a payload if in is nil, and
// decodes the answer into out. The connection must not be in use for anything
// else.
func (c *conn) request(ctx context.Context, subject string, in, out any) error {
	var payload []byte
	if in != nil {
		var err error
		if payload, err = json.Marshal(in); err != nil {
			return err
		}
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = c.nc.SetDeadline(deadline) // else it fails when the server ends
	}
	if err := c.write(false, "SUB _INBOX.api 1\r\nUNSUB 1 1\r\n"); err != nil {
		return err
	}
	c.publish(subject, "_INBOX.api", "", payload)
	if err := c.write(true); err != nil {
		return err
	}
	f, err := c.next()
	if err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	if err := apiError(f.payload); err != nil {
		return fmt.Errorf("%s: %w", subject, err)
	}
	return json.Unmarshal(f.payload, out)
}

// apiError returns the error in an answer of JetStream, or nil.
func apiError(payload []byte) error {
	var answer struct {
		Error *struct {
			Code        int    `json:"code"`
			Description string `json:"description"`
		} `json:"error"`
	}
	if err := json.Unmarshal(payload, &answer); err != nil {
		return fmt.Errorf("%w: %w", errProtocol, err)
	}
	if answer.Error != nil {
		return fmt.Errorf("nats: %s (%d)", answer.Error.Description, answer.Error.Code)
	}
	return nil
}
