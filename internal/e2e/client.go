package e2e

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// commandWithin bounds one command of a driver. The slowest is a send that the
// C++ client tries five times.
const commandWithin = 60 * time.Second

// Client is a driver process, that is a program with a stock client in it.
// It may be used by several goroutines.
type Client struct {
	Traits

	name  string
	pid   int
	in    io.WriteCloser
	inMu  sync.Mutex // one command is written at a time
	mu    sync.Mutex // guards what follows
	ids   int
	names int
	wait  map[string]chan url.Values // answers by command id
	boxes map[string]*Inbox          // messages by consumer name
	dead  error                      // set when the driver ended
}

// Traits says what a client's own API can do.
type Traits struct {
	Batch        bool // can send several messages in one request
	Async        bool // can send without waiting
	Transactions bool // can send in a transaction
	BinaryBody   bool // bodies may hold any byte, not only text
	SmallBody    bool // bodies may have 128 KiB at most
	Sharding     bool // can choose the queue by a key
	VIP          bool // can send over the VIP channel, broker port - 2
	TellsCode    bool // its exceptions carry the broker's code and remark
	Queries      bool // can find messages by key and by id
	Recalls      bool // can cancel a message that waits
}

// ClientError is how a client's own exception arrives here.
type ClientError struct {
	Class string // class of the exception
	Code  int    // the broker's response code, 0 when the client hides it
	Text  string
}

func (e *ClientError) Error() string { return fmt.Sprintf("%s: code %d: %s", e.Class, e.Code, e.Text) }

// startClient runs command as a driver. It ends with the test.
func startClient(t *testing.T, kind Kind, command *exec.Cmd) *Client {
	logs, err := os.Create(filepath.Join(workDir(t, "driver"), "driver.log"))
	require.NoError(t, err)
	command.Stderr = logs
	in, err := command.StdinPipe()
	require.NoError(t, err)
	out, err := command.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, command.Start())
	c := &Client{
		Traits: kind.Traits,
		name:   kind.Name,
		pid:    command.Process.Pid,
		in:     in,
		wait:   map[string]chan url.Values{},
		boxes:  map[string]*Inbox{},
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.read(out)
		c.bury(command.Wait())
	}()
	t.Cleanup(func() {
		in.Close()
		killer := time.AfterFunc(readyWithin, func() { command.Process.Kill() })
		<-ended
		killer.Stop()
		if t.Failed() {
			t.Logf("driver log, last lines:\n%s", tail(logs.Name()))
		}
		logs.Close()
	})
	return c
}

// read takes the driver's lines until it ends.
func (c *Client) read(out io.Reader) {
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		record, err := url.ParseQuery(lines.Text())
		if err != nil {
			continue
		}
		c.take(record)
	}
}

// bury fails the calls that wait for a driver that has ended, and later ones.
func (c *Client) bury(cause error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.dead = fmt.Errorf("driver of %s has ended: %v", c.name, cause)
	for id, waiter := range c.wait {
		delete(c.wait, id)
		close(waiter)
	}
}

// take gives an answer to the call that waits for it, and a message to the
// consumer's inbox.
func (c *Client) take(record url.Values) {
	c.mu.Lock()
	waiter, box := c.wait[record.Get("id")], c.boxes[record.Get("consumer")]
	delete(c.wait, record.Get("id"))
	c.mu.Unlock()
	switch {
	case waiter != nil:
		waiter <- record
	case box != nil:
		box.add(received(record))
	}
}

// call sends one command and returns its answer. The error is a *ClientError
// when the client threw.
func (c *Client) call(op string, fields url.Values) (url.Values, error) {
	answer := make(chan url.Values, 1)
	c.mu.Lock()
	if c.dead != nil {
		c.mu.Unlock()
		return nil, c.dead
	}
	c.ids++
	id := strconv.Itoa(c.ids)
	c.wait[id] = answer
	c.mu.Unlock()

	fields.Set("op", op)
	fields.Set("id", id)
	c.inMu.Lock()
	_, err := io.WriteString(c.in, fields.Encode()+"\n")
	c.inMu.Unlock()
	if err != nil {
		return nil, err
	}
	select {
	case record, ok := <-answer:
		if !ok {
			return nil, c.dead // set before the channel was closed
		}
		if class := record.Get("error"); class != "" {
			return nil, &ClientError{Class: class, Code: int(number(record, "code")), Text: record.Get("text")}
		}
		return record, nil
	case <-time.After(commandWithin):
		return nil, fmt.Errorf("%s: no answer to %s within %v", c.name, op, commandWithin)
	}
}

// unique makes a name that no driver has used yet. Groups have such names:
// consumers of a group must all subscribe to the same.
func (c *Client) unique(prefix string) string {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.names++
	return fmt.Sprintf("%s-%d-%d", prefix, c.pid, c.names)
}

// instance makes an instance name. Clients put it into their client id, which
// must differ between processes.
func (c *Client) instance(name string) string { return fmt.Sprintf("%d-%s", c.pid, name) }

// number reads a field that holds a decimal number; 0 when it is missing.
func number(record url.Values, key string) int64 {
	n, _ := strconv.ParseInt(record.Get(key), 10, 64)
	return n
}
