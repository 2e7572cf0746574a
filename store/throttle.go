package store

import (
	"errors"
	"time"
)

// errStopping ends work in the background when the store is closed.
var errStopping = errors.New("store is closing")

const (
	// throttleStep is how many bytes are handled between two pauses.
	throttleStep = 256 << 10
	// throttlePoll is how often work that gave way looks whether it may go on.
	throttlePoll = 20 * time.Millisecond
)

// throttle keeps work in the background from what matters: it is bounded in bytes
// per second, and waits while the disk is full and, unless runs have to be merged (see
// crowded), while firing is behind or messages are refused because an index is not
// written as fast as it fills.
type throttle struct {
	s    *Store
	debt int64 // bytes since the last pause
	off  bool  // do not wait
}

// spend accounts for n bytes and waits as long as it must; errStopping when the
// store is closed meanwhile.
func (t *throttle) spend(n int64) error {
	t.debt += n
	if t.debt < throttleStep || t.off {
		return nil
	}
	d := time.Duration(float64(t.debt) / float64(t.s.opts.EvacuateRate) * float64(time.Second))
	t.debt = 0
	if err := t.sleep(d); err != nil {
		return err
	}
	for t.s.diskFull.Load() || t.s.behind() && !t.s.crowded() {
		if err := t.sleep(throttlePoll); err != nil {
			return err
		}
	}
	return nil
}

// behind tells whether work in the background gives way to what matters.
func (s *Store) behind() bool {
	for i := range s.busy.index {
		if s.busy.index[i].shut.Load() {
			return true
		}
	}
	return s.overdue.Load() > 0
}

func (t *throttle) sleep(d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-t.s.stop:
		return errStopping
	case <-timer.C:
		return nil
	}
}
