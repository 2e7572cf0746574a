//go:build !linux

package limit

import "time"

// Alarm waits for moments of the wall clock with the runtime's timers.
type Alarm struct{}

// NewAlarm returns an Alarm.
func NewAlarm() (*Alarm, error) { return &Alarm{}, nil }

// Wait returns at due, or at once when that has passed.
func (*Alarm) Wait(due time.Time) error {
	time.Sleep(time.Until(due))
	return nil
}

// Close does nothing.
func (*Alarm) Close() error { return nil }
