package duelog

import (
	"context"
	"time"

	"github.com/duelog/duelog/store"
)

// ListPending implements bench.Lister.
func (e *Embedded) ListPending(ctx context.Context, visit func(body []byte, due time.Time) bool) error {
	for m, err := range e.store.PendingAfter(store.PendingPosition{}, allTime) {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return err
		}
		v, err := e.store.Read(m.Loc, m.Size)
		if err != nil {
			return err
		}
		more := visit(v.Bytes(), time.UnixMilli(m.FireMs))
		v.Release()
		if !more {
			break
		}
	}
	return nil
}

// allTime is after everything that can be due.
const allTime = 1<<63 - 1

// ListPending implements bench.Lister.
func (d *Daemon) ListPending(ctx context.Context, visit func(body []byte, due time.Time) bool) error {
	return d.topic.Pending(ctx, visit)
}
