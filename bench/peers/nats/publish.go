package nats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/bench/peers/pipeline"
)

const (
	// defaultBatch is how many messages share a write.
	defaultBatch = 256
	// window is how many messages a publisher has on their way: a stream refuses
	// messages when 10,000 wait for it.
	window = 4096
)

// publisher implements bench.Publisher. Each message asks for its acknowledgement
// on a subject that ends with its id.
type publisher struct {
	c        *conn
	inbox    string // ends with a dot
	batch    int
	buffered int // messages in the writer; of the publishing goroutine
	inflight *pipeline.Inflight
	reader   sync.WaitGroup
}

// Publisher implements bench.System. A batch is what is sent with one write.
func (s *System) Publisher(ctx context.Context, n int, o bench.PublisherOptions) (bench.Publisher, error) {
	c, err := dial(ctx, s.port)
	if err != nil {
		return nil, fmt.Errorf("open a publisher: %w", err)
	}
	p := &publisher{
		c: c, inbox: fmt.Sprintf("_INBOX.p%d.", n), batch: o.Batch,
		inflight: pipeline.NewInflight(window, o.Acked),
	}
	if p.batch == 0 {
		p.batch = defaultBatch
	}
	p.batch = min(p.batch, window/4) // What waits to be sent must not fill the window.
	if err := c.write(true, "SUB ", p.inbox, "* 1\r\n"); err != nil {
		_ = c.nc.Close() // The connection was not used.
		return nil, fmt.Errorf("open a publisher: %w", err)
	}
	p.reader.Go(p.readAcks)
	return p, nil
}

// Publish implements bench.Publisher.
func (p *publisher) Publish(id uint64, due time.Time, body []byte) error {
	if err := p.inflight.Add(id); err != nil {
		return err
	}
	key := strconv.FormatUint(id, 10)
	subject, header := subjectNow, ""
	if !due.IsZero() {
		subject, header = subjectLater+key, schedule(due)
	}
	p.c.publish(subject, p.inbox+key, header, body)
	if p.buffered++; p.buffered < p.batch {
		return nil
	}
	p.send()
	return nil
}

// schedule returns the headers that have a message published again.
func schedule(due time.Time) string {
	return "NATS/1.0\r\nNats-Schedule: @at " + due.UTC().Format("2006-01-02T15:04:05.000Z") +
		"\r\nNats-Schedule-Target: " + subjectNow + "\r\n\r\n"
}

// Flush implements bench.Publisher.
func (p *publisher) Flush() error {
	p.send()
	return p.inflight.Err()
}

// send sends what is buffered. A connection that fails is noticed by the reader
// too, which reports what was on its way.
func (p *publisher) send() {
	p.buffered = 0
	if err := p.c.write(true); err != nil {
		p.inflight.Fail(err)
	}
}

// readAcks reads acknowledgements until the connection ends.
func (p *publisher) readAcks() {
	for {
		f, err := p.c.next()
		if err != nil {
			p.inflight.Fail(err)
			return
		}
		id, err := strconv.ParseUint(strings.TrimPrefix(f.subject, p.inbox), 10, 64)
		if err != nil {
			p.inflight.Fail(fmt.Errorf("%w: acknowledgement on %q", errProtocol, f.subject))
			return
		}
		p.inflight.Done(id, apiError(f.payload))
	}
}

// Close implements bench.Publisher.
func (p *publisher) Close() error {
	p.inflight.Fail(pipeline.ErrClosed)
	err := p.c.nc.Close()
	p.reader.Wait()
	if errors.Is(err, net.ErrClosed) {
		return nil
	}
	return err
}
