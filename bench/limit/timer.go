package limit

import (
	"context"
	"time"

	"github.com/duelog/duelog/internal/durable"
)

// timerEvery is the distance of due times: far enough that each is on its own.
const timerEvery = 5 * time.Millisecond

// journalEntry is a small batch of a journal.
const journalEntry = 64

// timer is the least that a durable delivery to another process costs.
func timer(ctx context.Context, c Config) (Figure, error) {
	near, stop, err := loopback(func([]byte) error { return nil }, journalEntry)
	if err != nil {
		return Figure{}, err
	}
	defer stop()
	buf := make([]byte, journalEntry)
	return alarms(ctx, c, func() error { return roundTrip(near, buf) })
}

// timerLocal is the least that a durable delivery within the process costs.
func timerLocal(ctx context.Context, c Config) (Figure, error) {
	return alarms(ctx, c, func() error { return nil })
}

// alarms wakes at due times of whole milliseconds, makes one small write durable
// and delivers.
func alarms(ctx context.Context, c Config, deliver func() error) (Figure, error) {
	f, done, err := scratch(c.Dir)
	if err != nil {
		return Figure{}, err
	}
	defer done()
	alarm, err := NewAlarm()
	if err != nil {
		return Figure{}, err
	}
	defer alarm.Close()

	buf := make([]byte, journalEntry)
	var took []time.Duration
	w := startWatch()
	due := w.start.Truncate(time.Millisecond)
	for len(took) == 0 || time.Since(w.start) < c.Each && ctx.Err() == nil {
		due = due.Add(timerEvery)
		if err := alarm.Wait(due); err != nil {
			return Figure{}, err
		}
		if _, err := f.WriteAt(buf, int64(len(took)*journalEntry)%fileSize); err != nil {
			return Figure{}, err
		}
		if err := durable.Datasync(f); err != nil {
			return Figure{}, err
		}
		if err := deliver(); err != nil {
			return Figure{}, err
		}
		took = append(took, time.Duration(time.Now().UnixNano()-due.UnixNano()))
	}
	return w.figure(int64(len(took))).latencies(took), ctx.Err()
}
