package store

import (
	"encoding/binary"
	"fmt"
	"runtime"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// timerfdClock waits on an absolute timerfd of CLOCK_REALTIME on a locked OS
// thread. Where a Go timer waits for the poller's millisecond, and for a
// preemption when both cores are busy, the kernel wakes this thread itself.
// TFD_TIMER_CANCEL_ON_SET makes a step of the clock end the wait at once.
type timerfdClock struct {
	timer, event int
	armedMs      int64 // what the timer is set to; dispatcher only
	state        atomic.Int32
}

// States of the dispatcher as its clock sees it.
const (
	awake  = 0
	asleep = 1 // in poll, or about to be
	called = 2 // awake, and the next wait is to return at once
)

func newClock() clock { return &timerfdClock{timer: -1, event: -1} }

func (c *timerfdClock) NowMs() int64 { return time.Now().UnixMilli() }

func (c *timerfdClock) start() error {
	timer, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC|unix.TFD_NONBLOCK)
	if err != nil {
		return fmt.Errorf("create timer: %w", err)
	}
	event, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(timer)
		return fmt.Errorf("create wake-up event: %w", err)
	}
	c.timer, c.event = timer, event
	runtime.LockOSThread()
	return nil
}

func (c *timerfdClock) stop() { runtime.UnlockOSThread() }

func (c *timerfdClock) close() {
	if c.timer >= 0 {
		unix.Close(c.timer)
		unix.Close(c.event)
	}
}

// wake makes the present or the next waitUntil return at once. It costs a
// system call only when the dispatcher really sleeps.
func (c *timerfdClock) wake() {
	for {
		switch c.state.Load() {
		case asleep:
			if c.state.CompareAndSwap(asleep, awake) {
				c.raise()
				return
			}
		case awake:
			if c.state.CompareAndSwap(awake, called) {
				return
			}
		default:
			return
		}
	}
}

func (c *timerfdClock) raise() {
	var one [8]byte
	binary.NativeEndian.PutUint64(one[:], 1)
	unix.Write(c.event, one[:])
}

func (c *timerfdClock) waitUntil(ms int64) {
	if ms <= c.NowMs() || !c.state.CompareAndSwap(awake, asleep) {
		c.state.Store(awake)
		return
	}
	c.arm(ms)
	fds := [2]unix.PollFd{
		{Fd: int32(c.timer), Events: unix.POLLIN},
		{Fd: int32(c.event), Events: unix.POLLIN},
	}
	unix.Poll(fds[:], int(maxWait.Milliseconds()))
	c.state.Store(awake)
	var buf [8]byte
	if fds[0].Revents != 0 {
		// An error here is ECANCELED: the wall clock was set. The loop reads it anew.
		unix.Read(c.timer, buf[:])
		c.armedMs = 0
	}
	if fds[1].Revents != 0 {
		unix.Read(c.event, buf[:])
	}
}

func (c *timerfdClock) arm(ms int64) {
	if ms == c.armedMs {
		return
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(ms * int64(time.Millisecond))}
	if unix.TimerfdSettime(c.timer, unix.TFD_TIMER_ABSTIME|unix.TFD_TIMER_CANCEL_ON_SET, &spec, nil) == nil {
		c.armedMs = ms
	}
}
