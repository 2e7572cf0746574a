// Command go runs commands for the end-to-end tests with the stock Go client.
//
// One command per line on standard input, as a form-encoded record; one answer
// per line on standard output, which carries the command's id. Messages that a
// consumer gets are lines of their own. The package comment of the tests lists
// commands and fields.
package main

import (
	"bufio"
	"fmt"
	"io"
	"net/url"
	"os"
	"reflect"
	"strconv"
	"sync"

	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

// client is what producers and consumers have in common.
type client interface {
	Start() error
	Shutdown() error
}

// driver holds the clients that were started, by the name the tests gave them.
type driver struct {
	nameServer primitive.NamesrvAddr
	sayMu      sync.Mutex // guards out
	out        io.Writer
	clientsMu  sync.Mutex // guards clients
	clients    map[string]client
}

func main() {
	d := &driver{nameServer: primitive.NamesrvAddr{os.Args[1]}, out: os.Stdout, clients: map[string]client{}}
	os.Stdout = os.Stderr // a library that prints must not disturb the answers
	rlog.SetLogger(stderrLog{})
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(nil, 64<<20)
	for in.Scan() {
		command, err := url.ParseQuery(in.Text())
		if err != nil {
			fmt.Fprintln(os.Stderr, "unreadable command:", err)
			os.Exit(2)
		}
		go d.run(command)
	}
}

func (d *driver) run(command url.Values) {
	answer, err := d.execute(command)
	if err != nil {
		answer = failure(err)
	}
	answer.Set("id", command.Get("id"))
	d.say(answer)
}

func (d *driver) execute(c url.Values) (url.Values, error) {
	switch c.Get("op") {
	case "produce":
		return d.produce(c)
	case "send":
		return d.send(c)
	case "consume":
		return d.consume(c)
	case "stop":
		return d.stop(c)
	}
	return nil, fmt.Errorf("unknown command %q", c.Get("op"))
}

func (d *driver) say(r url.Values) {
	d.sayMu.Lock()
	defer d.sayMu.Unlock()
	fmt.Fprintln(d.out, r.Encode())
}

// start starts c and keeps it under name.
func (d *driver) start(name string, c client) (url.Values, error) {
	if err := c.Start(); err != nil {
		return nil, err
	}
	d.clientsMu.Lock()
	defer d.clientsMu.Unlock()
	d.clients[name] = c
	return url.Values{}, nil
}

func (d *driver) find(name string) client {
	d.clientsMu.Lock()
	defer d.clientsMu.Unlock()
	return d.clients[name]
}

func (d *driver) stop(c url.Values) (url.Values, error) {
	found := d.find(c.Get("name"))
	if found == nil {
		return url.Values{}, nil
	}
	d.clientsMu.Lock()
	delete(d.clients, c.Get("name"))
	d.clientsMu.Unlock()
	return url.Values{}, found.Shutdown()
}

// failure describes err by its type and, where the broker gave one, its code:
// this client puts that into the text only.
func failure(err error) url.Values {
	fmt.Fprintln(os.Stderr, "failed:", err)
	code := 0
	fmt.Sscanf(err.Error(), "CODE: %d,", &code)
	return url.Values{"error": {reflect.TypeOf(err).String()}, "code": {strconv.Itoa(code)}, "text": {err.Error()}}
}

// stderrLog sends the client's warnings and errors to standard error.
type stderrLog struct{}

func (stderrLog) Debug(string, map[string]any) {}
func (stderrLog) Info(string, map[string]any)  {}
func (stderrLog) Level(string)                 {}
func (stderrLog) OutputPath(string) error      { return nil }

func (stderrLog) Warning(msg string, fields map[string]any) {
	fmt.Fprintln(os.Stderr, "warning:", msg, fields)
}

func (stderrLog) Error(msg string, fields map[string]any) {
	fmt.Fprintln(os.Stderr, "error:", msg, fields)
}

func (stderrLog) Fatal(msg string, fields map[string]any) {
	fmt.Fprintln(os.Stderr, "fatal:", msg, fields)
	os.Exit(1)
}
