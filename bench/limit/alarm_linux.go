package limit

import (
	"fmt"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// Alarm waits for moments of the wall clock on an absolute timerfd, with its
// goroutine locked to a thread: the runtime's own timers are later by up to a
// millisecond, and by more when all its threads are in system calls. It belongs
// to the goroutine that made it.
type Alarm struct{ fd int }

// NewAlarm locks the goroutine to its thread until Close.
func NewAlarm() (*Alarm, error) {
	fd, err := unix.TimerfdCreate(unix.CLOCK_REALTIME, unix.TFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make timerfd: %w", err)
	}
	runtime.LockOSThread()
	return &Alarm{fd: fd}, nil
}

// Wait returns at due, or at once when that has passed.
func (a *Alarm) Wait(due time.Time) error {
	if !time.Now().Before(due) {
		return nil
	}
	spec := unix.ItimerSpec{Value: unix.NsecToTimespec(due.UnixNano())}
	if err := unix.TimerfdSettime(a.fd, unix.TFD_TIMER_ABSTIME, &spec, nil); err != nil {
		return fmt.Errorf("set timerfd: %w", err)
	}
	var expirations [8]byte
	for {
		_, err := unix.Read(a.fd, expirations[:])
		switch err {
		case nil:
			return nil
		case unix.EINTR:
		default:
			return fmt.Errorf("read timerfd: %w", err)
		}
	}
}

// Close gives the timer and the thread back.
func (a *Alarm) Close() error {
	runtime.UnlockOSThread()
	return unix.Close(a.fd)
}
