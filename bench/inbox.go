package bench

import (
	"sync"
	"sync/atomic"
	"time"
)

// inbox is what a subscriber delivers into. It finds the ledger of each message
// by the series in its body, so that warm-up, ordinary and scheduled messages can
// share a system. Any goroutine may deliver.
type inbox struct {
	mu      sync.RWMutex
	ledgers map[uint64]*ledger
	altered atomic.Int64 // unreadable, or of no series: nobody's
}

func newInbox() *inbox { return &inbox{ledgers: map[uint64]*ledger{}} }

func (b *inbox) add(l *ledger) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ledgers[l.series] = l
}

// deliver takes a body that arrived at a moment.
func (b *inbox) deliver(body []byte, at time.Time) {
	if at.IsZero() {
		at = time.Now()
	}
	lab, err := parseBody(body, len(body))
	if err != nil {
		b.altered.Add(1)
		return
	}
	b.mu.RLock()
	l := b.ledgers[lab.series]
	b.mu.RUnlock()
	if l == nil || l.size != len(body) {
		b.altered.Add(1)
		return
	}
	l.receive(lab, at)
}

func (b *inbox) remove(l *ledger) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.ledgers, l.series)
}
