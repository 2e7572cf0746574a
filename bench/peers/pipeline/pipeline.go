// Package pipeline sends batches of messages over one connection without waiting
// for the replies, and pairs the replies, which come in the order of the
// requests, with the messages. It is the publisher's half of every peer whose
// protocol answers in order.
//
// A [Pipeline] knows nothing of a protocol: a [Codec] turns messages into the
// bytes of one request and reads its replies. At most [Window] messages are
// unanswered; beyond that Publish blocks, which is how a slow server slows its
// clients.
package pipeline

import (
	"bufio"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// Window is how many messages one pipeline has unanswered at most.
const Window = 8192

// ErrClosed is reported for messages that were not acknowledged when their
// pipeline ended.
var ErrClosed = errors.New("publisher closed before the acknowledgement")

// Message is one message of a batch.
type Message struct {
	ID uint64
	// Due is zero for a message that is due at once.
	Due time.Time
	// Body is a copy that belongs to the batch.
	Body []byte
}

// Codec is what a protocol adds. Append and Read run on different goroutines.
type Codec interface {
	// Append appends the request for a batch of at least one message.
	Append(dst []byte, batch []Message) []byte
	// Read reads the reply to a batch of n messages and calls result n times, in the
	// order of the batch, with nil or the server's refusal. An error means that the
	// connection cannot be used any more; result then may have been called less.
	Read(r *bufio.Reader, n int, result func(error)) error
}

// Pipeline implements bench.Publisher.
type Pipeline struct {
	nc    net.Conn
	codec Codec
	batch int
	acked func(id uint64, err error)

	// publishing guards the batch that is being collected. It is taken before mu.
	publishing sync.Mutex
	messages   []Message
	bodies     []byte
	request    []byte

	mu      sync.Mutex
	changed sync.Cond     // with mu: any of the following has changed
	queue   [][]uint64    // ids of the batches without a reply
	pending int           // how many ids that are
	broken  error         // why nothing can be sent any more
	done    chan struct{} // closed when the reader has ended
}

// New returns a pipeline over a connection that is ready for requests, and owns
// it from then on. Replies are read from r. batch is the number of messages of a
// request, and acked is that of bench.PublisherOptions.
func New(nc net.Conn, r *bufio.Reader, c Codec, batch int, acked func(uint64, error)) *Pipeline {
	p := &Pipeline{nc: nc, codec: c, batch: max(1, min(batch, Window)), acked: acked, done: make(chan struct{})}
	p.changed.L = &p.mu
	go p.readReplies(r)
	return p
}

// Publish adds a message to the batch and sends the batch when it is full.
func (p *Pipeline) Publish(id uint64, due time.Time, body []byte) error {
	p.publishing.Lock()
	defer p.publishing.Unlock()
	if err := p.failure(); err != nil {
		return err
	}
	start := len(p.bodies)
	p.bodies = append(p.bodies, body...)
	// When append moves the bodies, the earlier views keep the old array alive.
	p.messages = append(p.messages, Message{ID: id, Due: due, Body: p.bodies[start:len(p.bodies):len(p.bodies)]})
	if len(p.messages) >= p.batch {
		p.send()
	}
	return nil
}

// Flush sends the batch as it is.
func (p *Pipeline) Flush() error {
	p.publishing.Lock()
	defer p.publishing.Unlock()
	p.send()
	return p.failure()
}

// Close closes the connection, reports what was not acknowledged and waits until
// acked is not called any more. It is idempotent.
func (p *Pipeline) Close() error {
	p.breakWith(ErrClosed)
	err := p.nc.Close()
	<-p.done
	p.publishing.Lock()
	defer p.publishing.Unlock()
	p.send()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}

// send sends the batch, or reports it when the pipeline is broken. The caller
// holds publishing.
func (p *Pipeline) send() {
	if len(p.messages) == 0 {
		return
	}
	ids := make([]uint64, len(p.messages))
	for i := range p.messages {
		ids[i] = p.messages[i].ID
	}
	if err := p.enqueue(ids); err != nil {
		p.report(ids, err)
	} else {
		p.request = p.codec.Append(p.request[:0], p.messages)
		if _, err := p.nc.Write(p.request); err != nil {
			_ = p.nc.Close() // The reader reports the batch with the others.
		}
	}
	p.messages, p.bodies = p.messages[:0], p.bodies[:0]
}

// enqueue waits until the window has room and announces a batch to the reader.
func (p *Pipeline) enqueue(ids []uint64) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for p.broken == nil && p.pending > 0 && p.pending+len(ids) > Window {
		p.changed.Wait()
	}
	if p.broken != nil {
		return p.broken
	}
	p.queue = append(p.queue, ids)
	p.pending += len(ids)
	p.changed.Broadcast()
	return nil
}

// readReplies is the goroutine that reads. It ends when the connection does.
func (p *Pipeline) readReplies(r *bufio.Reader) {
	defer close(p.done)
	for {
		// Waiting for a byte, and not for a batch, notices a server that goes away
		// while nothing is on its way.
		if _, err := r.Peek(1); err != nil {
			p.fail(err)
			return
		}
		if err := p.readReply(r); err != nil {
			p.fail(err)
			return
		}
	}
}

// readReply reads the reply to the oldest batch.
func (p *Pipeline) readReply(r *bufio.Reader) error {
	ids, ok := p.oldest()
	if !ok {
		return errors.New("the server answered what nobody asked")
	}
	answered := 0
	err := p.codec.Read(r, len(ids), func(err error) {
		p.acked(ids[answered], err)
		answered++
	})
	p.settle(answered)
	return err
}

func (p *Pipeline) oldest() ([]uint64, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		return nil, false
	}
	return p.queue[0], true
}

// settle forgets the first n messages of the oldest batch.
func (p *Pipeline) settle(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.pending -= n
	p.queue[0] = p.queue[0][n:]
	if len(p.queue[0]) == 0 {
		p.queue = p.queue[1:]
	}
	p.changed.Broadcast()
}

// fail breaks the pipeline and reports everything that is on its way.
func (p *Pipeline) fail(err error) {
	_ = p.nc.Close() // err is the reason, whatever this says.
	p.breakWith(err)
	p.mu.Lock()
	queue, why := p.queue, p.broken
	p.queue, p.pending = nil, 0
	p.mu.Unlock()
	for _, ids := range queue {
		p.report(ids, why)
	}
}

// breakWith lets nothing more be sent. The first reason stays.
func (p *Pipeline) breakWith(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.broken == nil {
		p.broken = fmt.Errorf("publish: %w", err)
	}
	p.changed.Broadcast()
}

func (p *Pipeline) report(ids []uint64, err error) {
	for _, id := range ids {
		p.acked(id, err)
	}
}

// failure returns why nothing can be sent any more, or nil.
func (p *Pipeline) failure() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.broken
}
