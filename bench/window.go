package bench

import (
	"context"
	"sync"
)

// window bounds how many messages of one publisher wait for their
// acknowledgement.
type window struct {
	mu   sync.Mutex
	free sync.Cond
	left int
	size int
	dead error // why nobody needs to wait any more
}

func newWindow(size int) *window {
	w := &window{left: size, size: size}
	w.free.L = &w.mu
	return w
}

// take claims a place. When there is none it calls flush, so that what is
// collected for a batch gets its acknowledgement, and waits.
func (w *window) take(flush func() error) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.left == 0 && w.dead == nil {
		w.mu.Unlock()
		err := flush()
		w.mu.Lock()
		if err != nil {
			return err
		}
	}
	return w.claimLocked(1)
}

// drain waits until all places are free.
func (w *window) drain() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	err := w.claimLocked(w.size)
	if err == nil {
		w.left = w.size
	}
	return err
}

func (w *window) claimLocked(n int) error {
	for w.left < n && w.dead == nil {
		w.free.Wait()
	}
	if w.dead != nil {
		return w.dead
	}
	w.left -= n
	return nil
}

// put gives a place back.
func (w *window) put() {
	w.mu.Lock()
	w.left++
	w.mu.Unlock()
	w.free.Signal() // the publisher is the only one who waits
}

// abort wakes who waits, with err.
func (w *window) abort(err error) {
	w.mu.Lock()
	if w.dead == nil {
		w.dead = err
	}
	w.mu.Unlock()
	w.free.Broadcast()
}

// abortOn aborts when ctx ends, until the returned function is called.
func (w *window) abortOn(ctx context.Context) (release func() bool) {
	return context.AfterFunc(ctx, func() { w.abort(context.Cause(ctx)) })
}
