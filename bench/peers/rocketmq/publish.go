package rocketmq

import (
	"context"
	"time"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/bench/peers/pipeline"
)

// window is how many messages a publisher has on their way. The broker refuses
// what does not fit into its queue of 10,000.
const window = 1024

// publisher keeps a publisher of package wire within the window.
type publisher struct {
	wire     bench.Publisher
	inflight *pipeline.Inflight
}

// Publisher implements bench.System. Every message is a request, whatever the
// batch.
func (s *System) Publisher(ctx context.Context, _ int, o bench.PublisherOptions) (bench.Publisher, error) {
	p := &publisher{inflight: pipeline.NewInflight(window, o.Acked)}
	inner, err := s.topic.Publisher(ctx, bench.PublisherOptions{Batch: 1, Acked: p.inflight.Done})
	if err != nil {
		return nil, err
	}
	p.wire = inner
	return p, nil
}

// Publish implements bench.Publisher.
func (p *publisher) Publish(id uint64, due time.Time, body []byte) error {
	if err := p.inflight.Add(id); err != nil {
		return err
	}
	if err := p.wire.Publish(id, due, body); err != nil {
		p.inflight.Forget(id)
		return err
	}
	return nil
}

// Flush implements bench.Publisher.
func (p *publisher) Flush() error { return p.wire.Flush() }

// Close implements bench.Publisher.
func (p *publisher) Close() error {
	p.inflight.Fail(pipeline.ErrClosed)
	return p.wire.Close()
}
