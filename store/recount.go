package store

import (
	"fmt"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/delayindex"
)

// Recovery counts what is pending without reading all of it: beyond what the mark
// says of any topic the index is counted, less the cancellations, and what the journal
// knows to be fired is taken off when the dispatcher comes to it.

// countPending starts the gauge of pending messages. What fired after all that the mark
// says is still counted; unfiredIterator takes it off.
func (s *Store) countPending(r *recovery) error {
	n := int64(0)
	for i := range r.late {
		if r.late[i].FireMs() <= r.mark.firedMs {
			n++
		}
	}
	reached := r.mark.reached()
	undone, err := r.countUndone(r.mark.firedMs+1, reached+1)
	if err != nil {
		return fmt.Errorf("count pending messages: %w", err)
	}
	n += undone
	snaps := s.snapshots()
	defer releaseAll(snaps)
	for _, sn := range snaps {
		count, err := sn.CountExact(reached+1, noDeadline)
		if err != nil {
			return fmt.Errorf("count pending messages: %w", err)
		}
		n += count
	}
	s.pending.Store(n - int64(len(s.cancels.from(reached+1))))
	return nil
}

// countUndone looks at what is due in [from, to), the time by which heavy topics are
// behind: what others fired of it may be in the index or not.
func (r *recovery) countUndone(from, to int64) (n int64, err error) {
	if from >= to {
		return 0, nil
	}
	it := mergeSnapshots(r.s.snapshots(), from, to)
	defer it.Close()
	block := make([]delayindex.Entry, loadBlock)
	for {
		got, err := it.Next(block)
		if err != nil || got == 0 {
			return n, err
		}
		for i := range block[:got] {
			if e := &block[i]; !r.already(e) && !r.s.cancels.has(commitlog.Loc(e.Loc)) {
				n++
			}
		}
	}
}

// unfiredIterator leaves out what the journal says was fired.
type unfiredIterator struct {
	delayindex.Iterator
	s     *Store
	fired firedSet
}

func (u *unfiredIterator) Next(dst []delayindex.Entry) (int, error) {
	for {
		n, err := u.Iterator.Next(dst)
		if err != nil || n == 0 {
			return n, err
		}
		kept := dst[:0]
		for i := range n {
			if !u.fired.has(commitlog.Loc(dst[i].Loc)) {
				kept = append(kept, dst[i])
			}
		}
		u.s.pending.Add(int64(len(kept) - n)) // countPending did not know better
		if len(kept) > 0 {
			return len(kept), nil
		}
	}
}
