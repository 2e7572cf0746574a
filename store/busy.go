package store

import (
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/duelog/duelog/commitlog"
)

// ErrBusy is what every *BusyError is: the message was refused because something
// in the store is too far behind, and nothing was stored. It may be sent again
// later; no restart is needed.
var ErrBusy = errors.New("store is busy")

// Reasons of a BusyError.
const (
	// BusyOverdue: due messages of the topic fire later than Options.MaxOverdue. It
	// refuses scheduled messages of that topic.
	BusyOverdue = "overdue"
	// BusyIndex: the delay index is not written as fast as it fills; Options.MaxIndexBacklog.
	// It refuses scheduled messages of the same class of delay.
	BusyIndex = "index_backlog"
	// BusyNear: messages that are due within a second or two come faster than they can
	// be fired: Options.NearEntries of them wait. It refuses such messages.
	BusyNear = "near_full"
	// BusyLane: messages are not written as fast as they come; Options.MaxSendWait.
	BusyLane = "lane_full"
)

var busyReasons = []string{BusyOverdue, BusyIndex, BusyNear, BusyLane}

// BusyError says why a message was refused.
type BusyError struct {
	Reason string // one of the Busy constants
	Detail string // for people
}

// Error is "store is busy: " and the detail.
func (e *BusyError) Error() string { return ErrBusy.Error() + ": " + e.Detail }

// Is makes every BusyError ErrBusy.
func (e *BusyError) Is(target error) bool { return target == ErrBusy }

// gate is a limit with a memory: what has closed it must fall to half of the limit
// before it opens again, so that it does not flutter. Safe for concurrent use.
type gate struct {
	shut atomic.Bool
}

// closed judges a value against a limit; changed tells that the answer is not that
// of the last call.
func (g *gate) closed(value, limit int64) (closed, changed bool) {
	switch was := g.shut.Load(); {
	case value > limit:
		return true, !was && g.shut.CompareAndSwap(false, true)
	case was && value <= limit/2:
		return false, g.shut.CompareAndSwap(true, false)
	default:
		return was, false
	}
}

// busy is what refuses messages while the store is behind.
type busy struct {
	firedMs, lightMs atomic.Int64 // up to when all, and all but the heavy topics, have fired
	heavy, light     gate
	near             gate
	lateEntries      atomic.Int64 // arrivals for prepared seconds that the dispatcher has
	index            [laneCount]gate
	refused          *prometheus.CounterVec
}

func newBusy() *busy {
	b := &busy{refused: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "duelog_busy_total", Help: "Messages refused because the store is behind, by reason.",
	}, []string{"reason"})}
	for _, reason := range busyReasons {
		b.refused.WithLabelValues(reason)
	}
	return b
}

// refuse counts and returns a BusyError.
func (b *busy) refuse(reason, format string, args ...any) error {
	b.refused.WithLabelValues(reason).Inc()
	return &BusyError{Reason: reason, Detail: fmt.Sprintf(format, args...)}
}

// refusesScheduled returns why a scheduled message is not taken at present, nil
// when it is.
func (s *Store) refusesScheduled(m *Message, lane uint8, now int64) error {
	b := s.busy
	if closed, behind := s.judgeOverdue(m.Queue.share.behind.Load(), now); closed {
		return b.refuse(BusyOverdue, "firing is %v behind", behind)
	}
	if b.index[lane].shut.Load() {
		return b.refuse(BusyIndex, "the delay index of lane %d is not written as fast as it fills", lane)
	}
	if b.near.shut.Load() && m.FireMs-now <= soonMs {
		return b.refuse(BusyNear, "too many messages are due within %d ms", soonMs)
	}
	return nil
}

// judgeOverdue looks at how late heavy topics, or the others, fire at present.
func (s *Store) judgeOverdue(heavy bool, now int64) (closed bool, behind time.Duration) {
	limit := s.opts.MaxOverdue.Milliseconds()
	if limit <= 0 {
		return false, 0
	}
	done, g := &s.busy.lightMs, &s.busy.light
	if heavy {
		done, g = &s.busy.firedMs, &s.busy.heavy
	}
	late := now - done.Load()
	behind = time.Duration(late) * time.Millisecond
	closed, changed := g.closed(late, limit)
	if changed {
		s.logGate(closed, BusyOverdue, "behind", behind)
	}
	return closed, behind
}

// laneError counts a refusal of the lane and says it in the store's terms.
func (s *Store) laneError(err error) error {
	switch {
	case errors.Is(err, commitlog.ErrClosed):
		return ErrClosed
	case errors.Is(err, commitlog.ErrBusy):
		return s.busy.refuse(BusyLane, "messages are not written as fast as they come")
	}
	return err
}

// judgeIndex looks at how many memtables of a lane wait to be written.
func (s *Store) judgeIndex(l *lane) {
	if s.opts.MaxIndexBacklog == 0 {
		return
	}
	n := l.frozen()
	if closed, changed := s.busy.index[l.id].closed(int64(n), int64(s.opts.MaxIndexBacklog)); changed {
		s.logGate(closed, BusyIndex, "lane", l.id, "memtables", n)
	}
}

// soonMs is how far ahead seconds are prepared: what comes for them does not go
// through the near wheel.
const soonMs = prepareAhead + 1000

// judgeNearLocked looks at how many entries came for prepared seconds and wait to be
// fired. The caller holds near.mu.
func (s *Store) judgeNearLocked() (closed, changed bool) {
	n := int64(len(s.near.fresh)) + s.busy.lateEntries.Load()
	return s.busy.near.closed(n, int64(s.opts.NearEntries))
}

func (s *Store) logGate(closed bool, reason string, args ...any) {
	args = append([]any{"reason", reason}, args...)
	if closed {
		s.log.Warn("store is busy: some messages are refused until it has caught up", args...)
		return
	}
	s.log.Info("store has caught up: messages are accepted again", args...)
}
