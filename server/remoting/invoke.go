package remoting

import (
	"context"
	"errors"
	"sync"
)

// Invoke sends cmd as a request of ours and waits for the response, which is a
// copy that lives on. Opaque and Flag of cmd are not used. Do not call it from
// Handle with the connection that is being handled: nobody would read the
// response.
func (c *Conn) Invoke(ctx context.Context, cmd *Command) (*Command, error) {
	type result struct {
		cmd *Command
		err error
	}
	ch := make(chan result, 1)
	opaque := c.call(cmd, func(resp *Command, err error) {
		if resp != nil {
			resp = resp.Clone()
		}
		ch <- result{resp, err}
	})
	select {
	case r := <-ch:
		return r.cmd, r.err
	case <-ctx.Done():
		c.calls.take(opaque)
		return nil, ctx.Err()
	}
}

// Go sends cmd as a request of ours and calls done once, with the response or
// an error. done runs on the reader goroutine, or on the caller's when the
// request could not be sent; it must not block, and the response is valid until
// it returns. Opaque and Flag of cmd are not used, and cmd may be used again as
// soon as Go returns.
func (c *Conn) Go(cmd *Command, done func(*Command, error)) { c.call(cmd, done) }

func (c *Conn) call(cmd *Command, done func(*Command, error)) int32 {
	opaque, err := c.calls.add(done)
	if err != nil {
		done(nil, err)
		return opaque
	}
	h := requestHeader(cmd, opaque, 0)
	if err := c.sendBody(cmd.Serialize, &h, cmd.Body); err != nil {
		if fn := c.calls.take(opaque); fn != nil {
			fn(nil, err)
		}
	}
	return opaque
}

func requestHeader(cmd *Command, opaque, flag int32) header {
	return header{
		code: cmd.Code, language: cmd.Language, version: cmd.Version, opaque: opaque,
		flag: flag, remark: cmd.Remark, ext: cmd.Ext,
	}
}

// callTable holds the requests that wait for their response, by opaque. Whoever
// takes a call out of it is the one who ends it.
type callTable struct {
	mu     sync.Mutex
	last   int32
	m      map[int32]func(*Command, error)
	closed error // why no call can be added any more
}

func (t *callTable) nextOpaque() int32 {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.last++
	return t.last
}

func (t *callTable) add(fn func(*Command, error)) (int32, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.closed != nil {
		return 0, t.closed
	}
	if t.m == nil {
		t.m = make(map[int32]func(*Command, error))
	}
	t.last++
	t.m[t.last] = fn
	return t.last, nil
}

// take removes a call, or returns nil when it has ended already.
func (t *callTable) take(opaque int32) func(*Command, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	fn := t.m[opaque]
	if fn != nil {
		delete(t.m, opaque)
	}
	return fn
}

// deliver ends the call that resp answers. One that nobody waits for any more is
// dropped.
func (t *callTable) deliver(resp *Command) {
	if fn := t.take(resp.Opaque); fn != nil {
		fn(resp, nil)
	}
}

// fail ends all calls, now and later.
func (t *callTable) fail(err error) {
	if err == nil {
		err = errors.New("BUG: open connection has ended")
	}
	t.mu.Lock()
	m := t.m
	t.m, t.closed = nil, err
	t.mu.Unlock()
	for _, fn := range m {
		fn(nil, err)
	}
}
