package duelog

import (
	"context"
	"fmt"
	"time"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/bench/wire"
)

// Remote is a broker that runs already. Its processes and files are not known, so
// there is neither CPU time nor memory of it, nor can it be weighed or killed. A run leaves its topic behind.
type Remote struct {
	addr  string
	topic *wire.Topic
}

// NewRemote returns a constructor for the broker at addr, HOST:PORT.
func NewRemote(addr string) bench.Constructor {
	return func(bench.Mode) (bench.System, error) { return &Remote{addr: addr}, nil }
}

// Name implements bench.System.
func (r *Remote) Name() string { return "remote" }

// Start implements bench.System. The topic is a new one for every run, so that
// nothing of an earlier one comes.
func (r *Remote) Start(ctx context.Context, _ string) error {
	name := fmt.Sprintf("%s-%d", topicName, time.Now().UnixNano())
	var err error
	r.topic, err = wire.Create(ctx, wire.Options{Addr: r.addr, Topic: name, Queues: queues})
	return err
}

// Info implements bench.System.
func (r *Remote) Info() bench.Info {
	return bench.Info{Version: "unknown, at " + r.addr, Ack: "as the broker is configured"}
}

// Place implements bench.System.
func (r *Remote) Place() bench.Place { return bench.Foreign }

// PIDs implements bench.System: none is known.
func (r *Remote) PIDs() []int { return nil }

// Publisher implements bench.System.
func (r *Remote) Publisher(ctx context.Context, _ int, o bench.PublisherOptions) (bench.Publisher, error) {
	return r.topic.Publisher(ctx, o)
}

// Subscribe implements bench.System.
func (r *Remote) Subscribe(ctx context.Context, deliver func([]byte, time.Time)) (func(), error) {
	return r.topic.Subscribe(ctx, r.topic.Name(), deliver)
}

// SubscribeGroup implements bench.Grouper.
func (r *Remote) SubscribeGroup(ctx context.Context, group string, deliver func([]byte, time.Time)) (func(), error) {
	return r.topic.Subscribe(ctx, r.topic.Name()+"-"+group, deliver)
}

// Kill9 implements bench.System.
func (r *Remote) Kill9() error { return bench.ErrUnsupported }

// Restart implements bench.System.
func (r *Remote) Restart(context.Context) error { return bench.ErrUnsupported }

// Close implements bench.System.
func (r *Remote) Close() error { return nil }
