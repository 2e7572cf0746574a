package consumequeue

import (
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sync/errgroup"
)

// Two writers, readers, a flusher and a trimmer share a queue; every reader
// sees each slot that it reads exactly as it was put.
func TestConcurrentUseKeepsEverySlot(t *testing.T) {
	const slots = 20_000
	q, _ := openTest(t, t.TempDir(), &Options{FileEntries: 1000, MaxOpenFiles: 2}, 0, 0)
	var done atomic.Bool
	var background errgroup.Group
	background.Go(func() error { return flushUntil(q, &done) })
	background.Go(func() error { return trimUntil(q, &done) })

	var g errgroup.Group
	for range 2 {
		g.Go(func() error { putPairs(q, slots/2); return nil })
	}
	for range 3 {
		g.Go(func() error { return followUntil(q, slots) })
	}
	require.NoError(t, g.Wait())
	done.Store(true)
	require.NoError(t, background.Wait())
	require.Equal(t, int64(slots), q.Visible())
	mustFlush(t, q)
	cold(q)
	requireRead(t, q, q.Min(), slots)
}

// putPairs fills slots two by two, the second first.
func putPairs(q *Queue, n int) {
	for range n / 2 {
		slot := q.Reserve(2)
		q.Put(slot+1, entryOf(slot+1))
		q.Put(slot, entryOf(slot))
	}
}

func followUntil(q *Queue, end int64) error {
	var dst [50]Entry
	for at := int64(0); at < end; {
		n, err := q.Read(at, dst[:])
		if errors.Is(err, ErrTrimmed) {
			at = q.Min()
			continue
		}
		if err != nil {
			return err
		}
		for i, e := range dst[:n] {
			if slot := at + int64(i); e != entryOf(slot) {
				return fmt.Errorf("slot %d holds %+v", slot, e)
			}
		}
		at += int64(n)
	}
	return nil
}

func flushUntil(q *Queue, done *atomic.Bool) error {
	for !done.Load() {
		if _, err := q.Flush(); err != nil {
			return err
		}
	}
	return nil
}

func trimUntil(q *Queue, done *atomic.Bool) error {
	for !done.Load() {
		q.TrimBefore(q.Visible() - 3000)
		if at := q.SearchTime(entryOf(q.Min()).DeliverMs); at < 0 {
			return fmt.Errorf("search gives slot %d", at)
		}
	}
	return nil
}

func TestDeleteAndCloseDuringUse(t *testing.T) {
	q, s := openTest(t, t.TempDir(), &Options{FileEntries: 100}, 0, 0)
	putN(q, 1000)
	mustFlush(t, q)
	var g errgroup.Group
	for _, use := range []func() error{
		func() error { _, err := q.Read(0, make([]Entry, 500)); return err },
		func() error { _, err := q.Flush(); return err },
		func() error { putN(q, 1); return nil },
	} {
		g.Go(func() error {
			for {
				if err := use(); err != nil || q.Next() > 5000 {
					return ignoreClosed(err)
				}
			}
		})
	}
	require.NoError(t, q.Delete())
	require.NoError(t, s.Close())
	require.NoError(t, g.Wait())
}

func ignoreClosed(err error) error {
	if errors.Is(err, ErrClosed) {
		return nil
	}
	return err
}
