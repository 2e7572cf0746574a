package store

import (
	"time"
)

// clock is the dispatcher's view of time. NowMs may be called by anyone;
// waitUntil only by the dispatcher; wake by anyone.
type clock interface {
	// NowMs is the wall clock in ms since 1970, rounded down, so that "fire time
	// <= now" is never early.
	NowMs() int64
	// waitUntil returns when the wall clock reaches ms, when wake was called since
	// the last return, or a little later than maxWait at the latest.
	waitUntil(ms int64)
	wake()
	// start and stop run on the dispatcher's goroutine, before and after its loop.
	start() error
	stop()
	// close gives back what start took, when nobody will call wake any more.
	close()
}

// maxWait bounds one wait: Go's timers and the kernel's may both miss a step of
// the wall clock, so it is read again at least this often.
const maxWait = 50 * time.Millisecond

// plainClock waits with Go's timers. It works everywhere, in fake time too, and
// is late by up to about a millisecond.
type plainClock struct {
	woken   chan struct{}
	maxWait time.Duration
}

func newPlainClock(maxWait time.Duration) *plainClock {
	return &plainClock{woken: make(chan struct{}, 1), maxWait: maxWait}
}

func (c *plainClock) NowMs() int64 { return time.Now().UnixMilli() }

func (c *plainClock) start() error { return nil }

func (c *plainClock) stop() {}

func (c *plainClock) close() {}

func (c *plainClock) wake() {
	select {
	case c.woken <- struct{}{}:
	default:
	}
}

func (c *plainClock) waitUntil(ms int64) {
	d := min(time.Until(time.UnixMilli(ms)), c.maxWait)
	if d <= 0 {
		select {
		case <-c.woken:
		default:
		}
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-c.woken:
	}
}
