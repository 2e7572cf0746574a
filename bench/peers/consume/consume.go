// Package consume runs the consumers of a measurement: one goroutine for each
// connection, all ended together, and the reason kept when one ends by itself.
package consume

import (
	"context"
	"fmt"
	"io"
	"sync"
)

// Group remembers how the consumers of one system ended. The zero value is ready.
type Group struct {
	mu       sync.Mutex
	err      error
	expected bool
}

// Run dials n connections and calls work for each, with its number, in a goroutine
// of its own. work returns soon after its context ends, but not before what was
// delivered is acknowledged; then its connection is closed. The stop that Run
// returns ends the context, as the end of ctx does, and waits until all have
// returned. It may be called more than once.
func Run[C io.Closer](
	ctx context.Context, g *Group, n int,
	dial func(context.Context) (C, error),
	work func(context.Context, int, C) error,
) (stop func(), err error) {
	conns := make([]C, 0, n)
	for range n {
		c, err := dial(ctx)
		if err != nil {
			for _, c := range conns {
				_ = c.Close() // It was not used.
			}
			return nil, fmt.Errorf("subscribe: %w", err)
		}
		conns = append(conns, c)
	}
	g.expect(false)
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	for i, c := range conns {
		wg.Go(func() {
			g.ended(ctx, work(ctx, i, c))
			_ = c.Close() // All that matters is acknowledged.
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}, nil
}

// Forgive says that the server is about to be killed: consumers that end until
// the next Run have not failed.
func (g *Group) Forgive() { g.expect(true) }

// Err returns why a consumer ended before it was told to, or nil.
func (g *Group) Err() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}

func (g *Group) expect(end bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.expected = end
}

func (g *Group) ended(ctx context.Context, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if err != nil && ctx.Err() == nil && !g.expected && g.err == nil {
		g.err = fmt.Errorf("consume: %w", err)
	}
}
