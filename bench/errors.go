package bench

import "errors"

// ErrStalled says that a system stopped to answer.
var ErrStalled = errors.New("nothing happens")

// ErrTooSlow says that a system did not keep up with what the workload needs to
// mean anything, such as publishing ahead of the due times.
var ErrTooSlow = errors.New("too slow for this workload")

func isStall(err error) bool { return errors.Is(err, ErrStalled) }
