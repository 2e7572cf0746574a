package store

import (
	"errors"
	"syscall"
	"time"
)

const (
	firstRest   = time.Minute
	longestRest = time.Hour
)

// rest is how long a kind of work in the background is left alone after it failed:
// longer each time in a row, so that what is bad for good costs next to nothing. Space
// may come back any time, and is soon known to be missing.
type rest struct {
	until time.Time
	last  time.Duration
}

// resting does the work on a lane unless it rests. An error that only says that the
// store is closing is none.
func (c *compactor) resting(lane uint8, work func() error) error {
	r := c.rests[lane]
	if r != nil && !c.throttle.off && time.Now().Before(r.until) {
		return nil
	}
	err := work()
	switch {
	case err == nil:
		delete(c.rests, lane)
	case !errors.Is(err, errStopping):
		if r == nil {
			r = &rest{}
			c.rests[lane] = r
		}
		r.last = min(max(2*r.last, firstRest), longestRest)
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, ErrDiskFull) {
			r.last = firstRest
		}
		r.until = time.Now().Add(r.last)
	}
	return err
}
