package store

import (
	"errors"
	"fmt"

	"github.com/duelog/duelog/commitlog"
)

// Errors that callers branch on. Those of the log are the log's own values, so
// errors.Is works across the packages.
var (
	// ErrClosed is returned by every call after Close.
	ErrClosed = errors.New("store is closed")
	// ErrTooFar refuses a fire time beyond Options.MaxDelay; nothing was stored.
	ErrTooFar = errors.New("fire time is too far ahead")
	// ErrQueueDeleted refuses a message for a queue whose topic was deleted.
	ErrQueueDeleted = errors.New("queue was deleted")
	// ErrDiskFull refuses a message for want of disk space; what is pending still fires.
	ErrDiskFull = commitlog.ErrDiskFull
	// ErrReadOnly refuses a message after a failed write or sync; the store must be reopened.
	ErrReadOnly = commitlog.ErrReadOnly
	// ErrTooLarge refuses a payload that does not fit a segment.
	ErrTooLarge = commitlog.ErrTooLarge
	// ErrTooLate is returned by Cancel for a message that is, or is about to be, visible.
	ErrTooLate = errors.New("message is due already")
	// ErrTooMany is returned by Cancel when more messages are cancelled than are kept track of.
	ErrTooMany = errors.New("too many cancelled messages")
	// ErrNoKeys is returned by Lookup when Options.Keys is nil.
	ErrNoKeys = errors.New("store has no key index")
	// ErrNotFound says that the location is not, or no longer, in the store.
	ErrNotFound = commitlog.ErrNotFound
)

// LockedError says that another process has the store open.
type LockedError struct {
	Path string // of the lock file
	PID  int    // of the holder; 0 when it is not known
}

func (e *LockedError) Error() string {
	return fmt.Sprintf("store is in use by process %d (lock file %s): stop that process or choose another data directory", e.PID, e.Path)
}
