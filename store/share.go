package store

import "sync/atomic"

// share is what one topic has fired in the present backlog. Dispatcher goroutine
// only, except behind.
type share struct {
	backlog uint64 // the backlog that fired counts in
	fired   int64
	heavy   bool
	since   position // while heavy: its entries after this position wait in the lag
	// behind is heavy as producers may see it.
	behind atomic.Bool
}

const (
	// defaultQuantum is how many entries a topic may fire in a backlog before
	// others need not wait for it: some 30 ms of firing.
	defaultQuantum = 64 << 10
	// fairPart is the part of all that fires in a backlog that a topic may have
	// on top: one that stays below it never becomes heavy, however long it lasts.
	fairPart = 32
	// leastQuantum serves a store that fires at a slow rate.
	leastQuantum = 64
)

// quantumFor returns the quantum of a store that fires perSecond entries at most,
// 0 for as many as it can: what it fires within 25 ms.
func quantumFor(perSecond int64) int64 {
	if perSecond == 0 {
		return defaultQuantum
	}
	return min(max(perSecond/40, leastQuantum), defaultQuantum)
}

// backlog counts what each topic fires while firing is behind. There is nothing
// to count otherwise.
type backlog struct {
	number  uint64 // of the present or the next backlog
	present bool
	sinceMs int64 // when it began
	fired   int64 // in it, by all topics
	quantum int64
}

// note tells whether something that is due was left over.
func (b *backlog) note(left bool, nowMs int64) {
	switch {
	case left && !b.present:
		b.present, b.sinceMs, b.fired = true, nowMs, 0
	case !left && b.present:
		b.present = false
		b.number++ // all counts are of the past now
	}
}

// add counts n entries of a topic and reports whether it has had its share.
func (b *backlog) add(s *share, n int64) (tooMuch bool) {
	if s.backlog != b.number {
		s.backlog, s.fired = b.number, 0
	}
	s.fired += n
	b.fired += n
	return s.fired > b.quantum+b.fired/fairPart
}

// topics finds the topic of a queue. What it found once it keeps, so that the
// entries of a topic that is deleted meanwhile stay together.
type topics struct {
	of      func(queue uint32) *share
	byQueue []*share          // of the queues below denseQueues
	more    map[uint32]*share // of the others
	found   int               // queues in both
}

// denseQueues bounds the memory that a queue number can ask for.
const denseQueues = 1 << 16

func (t *topics) share(queue uint32) *share {
	if int64(queue) < int64(len(t.byQueue)) {
		if s := t.byQueue[queue]; s != nil {
			return s
		}
	}
	return t.find(queue)
}

func (t *topics) find(queue uint32) *share {
	if queue >= denseQueues {
		s := t.more[queue]
		if s == nil {
			s = t.of(queue)
			t.more[queue] = s
			t.found++
		}
		return s
	}
	if n := int(queue) + 1; n > len(t.byQueue) {
		t.byQueue = append(t.byQueue, make([]*share, n-len(t.byQueue))...)
	}
	t.byQueue[queue] = t.of(queue)
	t.found++
	return t.byQueue[queue]
}

// since returns where the queues of heavy topics were when they became heavy.
func (t *topics) since() map[uint32]position {
	m := map[uint32]position{}
	for queue, s := range t.byQueue {
		if s != nil && s.heavy {
			m[uint32(queue)] = s.since
		}
	}
	for queue, s := range t.more {
		if s.heavy {
			m[queue] = s.since
		}
	}
	return m
}
