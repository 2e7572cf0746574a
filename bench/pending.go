package bench

import (
	"context"
	"fmt"
	"time"
)

// countLag is how long a system's count may stand behind what it acknowledged: some
// schedule in the background.
const countLag = 10 * time.Second

// checkPending makes sure that what book has sent waits: by the system's own count, if
// it has one, and by reading it back, if it can be listed. The count is that of all
// messages, so nothing else may be pending.
func (s *stage) checkPending(ctx context.Context, book *ledger) error {
	s.result.Params["checked"] = "acknowledged"
	if err := s.countPending(ctx, book.verdict.acked.Load()); err != nil {
		return err
	}
	if l, ok := s.sys.(Lister); ok {
		return s.readBack(ctx, l, book)
	}
	return nil
}

// readBackMost bounds how many messages a run reads back: the soonest ones.
const readBackMost = 1 << 20

// readBack holds what the system lists against book.
func (s *stage) readBack(ctx context.Context, l Lister, book *ledger) error {
	n := int64(0)
	book.forgetArrivals()
	err := l.ListPending(ctx, func(body []byte, due time.Time) bool {
		if n == readBackMost {
			return false
		}
		if n++; n%4096 == 0 {
			s.progress("read back", n, min(book.n, readBackMost))
		}
		book.list(body, due)
		return true
	})
	if err != nil {
		return fmt.Errorf("list what is pending: %w", err)
	}
	all := n < readBackMost
	s.result.Params["checked"] = "read back"
	if !all {
		s.result.Params["checked"] = fmt.Sprintf("count, %d read back", n)
	}
	return s.findMissing(ctx, book.check(all), book.wrote)
}

// countPending compares the system's own count of what is pending, if it has one.
func (s *stage) countPending(ctx context.Context, want int64) error {
	st, ok := s.sys.(Statser)
	if !ok {
		return nil
	}
	var got Stats
	for idle := (stillness{}); ; {
		var err error
		if got, err = st.Stats(ctx); err != nil {
			return fmt.Errorf("ask for statistics: %w", err)
		}
		if got.Pending < 0 {
			return nil
		}
		if got.Pending == want {
			s.result.Params["checked"] = "count"
			return nil
		}
		if idle.look(got.Pending, time.Now()) > countLag {
			break
		}
		s.progress("count", got.Pending, want)
		if err := pause(ctx, 50*time.Millisecond); err != nil {
			return err
		}
	}
	if got.Pending < want {
		return fmt.Errorf("it counts %d pending messages instead of %d: %w", got.Pending, want, &VerdictError{Verdict: Verdict{Lost: want - got.Pending}})
	}
	return fmt.Errorf("it counts %d pending messages instead of %d: %w", got.Pending, want, &VerdictError{Verdict: Verdict{Duplicates: got.Pending - want}})
}
