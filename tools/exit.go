package tools

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/consumequeue"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/keyindex"
	"github.com/duelog/duelog/store"
)

// Exit codes of duelogctl.
const (
	ExitOK       = 0 // done, and nothing is wrong
	ExitFindings = 1 // done, and there is something to look at: damage, a message that is not there
	ExitUsage    = 2 // wrong verb, flag or argument
	ExitIO       = 3 // a file, the disk or a broker did not do what it had to
	ExitLocked   = 4 // another process has the store
)

const exitHelp = `Exit codes:
  0  done, and nothing is wrong
  1  done, and there are findings: damage, a message that is not there
  2  wrong verb, flag or argument
  3  a file, the disk or a broker did not do what it had to
  4  another process has the store
`

// errFindings ends a verb that has printed what it found.
var errFindings = errors.New("see the findings above")

// usageError marks a mistake on the command line.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

// usagef is fmt.Errorf for mistakes on the command line.
func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// hintError is an error together with the next step.
type hintError struct {
	error
	next string
}

func (e *hintError) Unwrap() error { return e.error }

// hint adds the next step to err: a command, or an instruction. A nil err stays nil.
func hint(err error, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &hintError{err, fmt.Sprintf(format, args...)}
}

// finished is err, or why a verb that must come to its end did not: who stops it
// has no result, and must not take that for a good one.
func finished(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return errors.New("interrupted: there is no result")
	}
	return err
}

// stopped is err of a verb that follows something: it has no other end than that
// somebody stops it, and ends well then, whatever that interrupted.
func stopped(ctx context.Context, follows bool, err error) error {
	switch {
	case errors.Is(err, errFindings):
		return err
	case follows && ctx.Err() != nil:
		return nil
	}
	return finished(ctx, err)
}

// nextStep is the hint of err, "" if it has none.
func nextStep(err error) string {
	var h *hintError
	if errors.As(err, &h) {
		return h.next
	}
	return ""
}

// usualStep is what helps against most errors of the kind of err; "" if nobody knows.
func usualStep(err error) string {
	var path *fs.PathError
	switch {
	case errors.Is(err, commitlog.ErrVersion), errors.Is(err, delayindex.ErrVersion), errors.Is(err, keyindex.ErrVersion), errors.Is(err, consumequeue.ErrVersion):
		return "use the duelogctl of the release that wrote it"
	case errors.Is(err, syscall.ENOSPC):
		return "free space where the results go, and run it again"
	case errors.Is(err, fs.ErrPermission):
		return "run it as a user who may, such as that of the broker"
	case errors.As(err, &path):
		return "look at " + path.Path + ": is it there, and on a disk that is well?"
	}
	return ""
}

// exitCode returns the process's exit code for the error of a verb.
func exitCode(err error) int {
	var usage usageError
	var locked *store.LockedError
	switch {
	case err == nil, err == context.Canceled:
		return ExitOK
	case errors.Is(err, errFindings):
		return ExitFindings
	case errors.As(err, &usage):
		return ExitUsage
	case errors.As(err, &locked):
		return ExitLocked
	default:
		return ExitIO
	}
}
