package store

import (
	"errors"
	"fmt"
	"path/filepath"

	"github.com/duelog/duelog/commitlog"
)

// WriteCancels writes the cancel log of a store that is being made in dir and has none
// yet: a record for each of the messages items, of which Loc, When, Queue and Key count.
// segmentSize is that of its files, 0 the default. What it returns belongs in the
// MANIFEST. All is durable then.
func WriteCancels(dir string, segmentSize int64, items []commitlog.Item) (_ []commitlog.SegmentInfo, err error) {
	if segmentSize <= 0 {
		segmentSize = cancelSegmentSize
	}
	l, _, err := commitlog.Open(filepath.Join(dir, cancelDir), nil, 0, nil, &commitlog.Options{
		Lane: cancelLane, SegmentSize: min(segmentSize, cancelSegmentSize), Flush: commitlog.Async,
	})
	if err != nil {
		return nil, fmt.Errorf("write cancel log: %w", err)
	}
	defer func() { err = errors.Join(err, l.Close()) }()
	for len(items) > 0 {
		n := min(len(items), cancelsAtOnce)
		if err := appendCancels(l, items[:n]); err != nil {
			return nil, fmt.Errorf("write cancel log: %w", err)
		}
		items = items[n:]
	}
	if err := l.Sync(); err != nil {
		return nil, fmt.Errorf("write cancel log: %w", err)
	}
	return l.Segments(), nil
}

// cancelsAtOnce bounds the records that wait to be written.
const cancelsAtOnce = 4096

func appendCancels(l *commitlog.Log, items []commitlog.Item) error {
	w := newCancelWait(len(items))
	for i := range items {
		it := &items[i]
		err := l.Append(&commitlog.Record{
			When: it.When, Flags: commitlog.FlagScheduled | commitlog.FlagTombstone, Queue: it.Queue, Key: it.Key,
			Payload: appendCancelPayload(nil, it.Loc, cancelled),
		}, w, 0)
		if err != nil {
			return err
		}
	}
	var errs []error
	for range items {
		errs = append(errs, <-w)
	}
	return errors.Join(errs...)
}
