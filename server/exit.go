package server

import (
	"errors"

	"github.com/duelog/duelog/store"
)

// Exit codes of duelogd.
const (
	ExitOK     = 0 // stopped as asked
	ExitFailed = 1 // could not start or could not go on
	ExitUsage  = 2 // wrong flag, variable or configuration file
	ExitListen = 3 // an address is taken
	ExitLocked = 4 // another process has the store
	// ExitSignal plus the signal's number: a second signal cut the stop short.
	ExitSignal = 128
)

// usageError marks what the operator has to correct in the command or its files.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// ExitCode returns the process's exit code for the error of Execute or Run.
func ExitCode(err error) int {
	var (
		usage  usageError
		taken  *ListenError
		locked *store.LockedError
	)
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &usage):
		return ExitUsage
	case errors.As(err, &taken):
		return ExitListen
	case errors.As(err, &locked):
		return ExitLocked
	default:
		return ExitFailed
	}
}
