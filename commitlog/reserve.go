package commitlog

import (
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"github.com/duelog/duelog/commitlog/segment"
)

// retryEvery is the least time between attempts to allocate a segment.
const retryEvery = time.Second

// reserve prepares the next segment ahead of need. Safe for concurrent use.
type reserve struct {
	create func(base int64) (*segment.File, error)

	mu      sync.Mutex
	changed sync.Cond // busy became false
	busy    bool
	closed  bool
	base    int64 // last one asked for
	file    *segment.File
	err     error
	tried   time.Time // when err happened
}

func newReserve(create func(int64) (*segment.File, error)) *reserve {
	r := &reserve{create: create}
	r.changed.L = &r.mu
	return r
}

// start prepares the segment at base in the background, unless that is done, under
// way, or failed a moment ago.
func (r *reserve) start(base int64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.base = base
	if r.idle() {
		r.busy = true
		go func() {
			f, err := r.create(base)
			r.mu.Lock()
			defer r.mu.Unlock()
			r.finish(f, err)
		}()
	}
}

func (r *reserve) idle() bool {
	return !r.closed && !r.busy && r.file == nil && !r.recently()
}

func (r *reserve) recently() bool { return r.err != nil && time.Since(r.tried) < retryEvery }

// finish is called with mu held.
func (r *reserve) finish(f *segment.File, err error) {
	r.busy = false
	r.file, r.err = f, nil
	if err != nil {
		r.err, r.tried = fullError(err), time.Now()
	}
	r.changed.Broadcast()
}

func fullError(err error) error {
	if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	return err
}

// retry repeats an attempt that failed, in the background.
func (r *reserve) retry() {
	r.mu.Lock()
	base, failed := r.base, r.err != nil
	r.mu.Unlock()
	if failed {
		r.start(base)
	}
}

// fill prepares the segment at base before it returns.
func (r *reserve) fill(base int64) {
	r.start(base)
	r.mu.Lock()
	defer r.mu.Unlock()
	r.await()
}

func (r *reserve) await() {
	for r.busy {
		r.changed.Wait()
	}
}

// take hands the segment at base out, preparing it now if it is not yet there.
func (r *reserve) take(base int64) (*segment.File, error) {
	r.fill(base)
	r.mu.Lock()
	defer r.mu.Unlock()
	f := r.file
	r.file = nil
	switch {
	case r.closed:
		return nil, ErrClosed
	case f == nil:
		return nil, r.err
	}
	if f.Base() != base {
		panic("BUG: prepared segment has another base")
	}
	return f, nil
}

// ready tells whether a segment waits to be taken.
func (r *reserve) ready() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.file != nil
}

// putBack takes a segment back that could not be registered for want of space.
func (r *reserve) putBack(f *segment.File) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.file, r.tried = f, time.Now()
}

// failed is why there is no segment in reserve, nil if none was wanted.
func (r *reserve) failed() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.err
}

// retryAt is when another attempt will be made after a failed one.
func (r *reserve) retryAt() time.Time {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tried.Add(retryEvery)
}

// close waits for the attempt under way and lets go of the prepared file, which
// stays on disk for the next run.
func (r *reserve) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.await()
	if r.file != nil {
		r.file.Release()
		r.file = nil
	}
}
