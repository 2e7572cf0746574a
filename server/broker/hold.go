package broker

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"

	"github.com/duelog/duelog/server/remoting"
)

// holdWorkers is how many goroutines answer woken pulls.
const holdWorkers = 4

// hold keeps the pulls that wait for a message (long polling). A waiting pull
// costs a map entry, a place in the deadline heap and a watcher in its queue;
// no goroutine. It ends in one of four ways, whichever is first: its queue
// wakes it and it gets messages, its deadline passes and it is answered at that
// moment, its connection closes, or the broker does.
//
// A wake comes from the store's goroutines, so it only moves the pull to a list
// that the workers serve. When what arrived is not for the pull's consumer the
// pull is parked again, behind what was looked at.
//
// Lock order: a queue's watch lock, then mu. So nothing here calls Watch or
// Unwatch with mu held.
type hold struct {
	limit   int // of all pulls
	perConn int // of those of one connection
	metrics *metrics
	kick    chan struct{} // the earliest deadline has changed

	mu     sync.Mutex
	ready  sync.Cond                             // on mu: woken has grown, or closed
	parked deadlines                             // by deadline; guarded by mu
	woken  []*held                               // first in, first out; guarded by mu
	byConn map[*remoting.Conn]map[*held]struct{} // every held pull; guarded by mu
	count  int                                   // pulls in byConn; guarded by mu
	closed bool                                  // guarded by mu
}

// held is one waiting pull. p belongs to whoever has taken it out of parked.
type held struct {
	h        *hold
	b        *Broker
	p        *pull
	deadline time.Time
	index    int       // in parked; guarded by h.mu
	state    heldState // guarded by h.mu
}

type heldState uint8

const (
	heldParked heldState = iota // waits in parked, watched by its queue
	heldWoken                   // in woken, or being served
	heldOver                    // answered, or nobody is left to answer
)

func newHold(limit int, m *metrics) *hold {
	h := &hold{limit: limit, perConn: MaxQueues, metrics: m, kick: make(chan struct{}, 1), byConn: make(map[*remoting.Conn]map[*held]struct{})}
	h.ready.L = &h.mu
	return h
}

// Why a pull cannot wait.
var (
	errHoldClosed = errors.New("the broker stops")
	errHoldFull   = errors.New("too many pulls wait, try again later") // a remark for clients
)

// park makes p wait until deadline. After an error the caller answers p.
func (h *hold) park(b *Broker, p *pull, deadline time.Time) error {
	x := &held{h: h, b: b, p: p, deadline: deadline}
	h.mu.Lock()
	if err := h.admit(p.conn); err != nil {
		h.mu.Unlock()
		return err
	}
	set := h.byConn[p.conn]
	if set == nil {
		set = make(map[*held]struct{})
		h.byConn[p.conn] = set
	}
	set[x] = struct{}{}
	h.count++
	h.metrics.heldPulls.Inc()
	h.push(x)
	h.mu.Unlock()
	h.watch(x)
	return nil
}

// admit tells why no further pull of c may wait. A client holds one per queue,
// so more than a topic can have are a mistake; it must not take the places of
// others. The caller holds mu.
func (h *hold) admit(c *remoting.Conn) error {
	switch {
	case h.closed:
		return errHoldClosed
	case h.count >= h.limit, len(h.byConn[c]) >= h.perConn:
		return errHoldFull
	}
	return nil
}

// push parks x. The caller holds mu.
func (h *hold) push(x *held) {
	x.state = heldParked
	heap.Push(&h.parked, x)
	if x.index == 0 {
		select {
		case h.kick <- struct{}{}:
		default: // the deadline goroutine has not looked since the last kick
		}
	}
}

// watch has x woken by its queue, or wakes it when something has arrived
// meanwhile.
func (h *hold) watch(x *held) {
	q, next := x.p.queue, x.p.next
	switch {
	case q.Watch(next, x):
		if h.isOver(x) { // ended before it was watched, so nobody else withdraws it
			q.Unwatch(x)
		}
	case q.Max() > next:
		x.Wake()
	default: // the queue was deleted
		if h.take(x) {
			x.answerEmpty()
		}
	}
}

func (h *hold) isOver(x *held) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return x.state == heldOver
}

// Wake implements store.Watcher.
func (x *held) Wake() {
	h := x.h
	h.mu.Lock()
	defer h.mu.Unlock()
	if x.state != heldParked {
		return
	}
	x.state = heldWoken
	heap.Remove(&h.parked, x.index)
	h.woken = append(h.woken, x)
	h.ready.Signal()
}

// runWoken serves woken pulls until the hold closes.
func (h *hold) runWoken(context.Context) {
	for {
		h.mu.Lock()
		for len(h.woken) == 0 && !h.closed {
			h.ready.Wait()
		}
		if len(h.woken) == 0 {
			h.mu.Unlock()
			return
		}
		x := h.woken[0]
		h.woken[0] = nil
		h.woken = h.woken[1:]
		h.mu.Unlock()
		h.serve(x)
	}
}

// serve answers a woken pull if there is something for its consumer, else
// parks it again. Pulls that wake together could bury a peer that does not read
// under answers, and cost it its connection; beyond what it can take they end
// empty, and it comes back when it has read.
func (h *hold) serve(x *held) {
	if x.p.conn.Congested() {
		h.end(x)
		x.answerEmpty()
		return
	}
	if x.b.deliver(x.p) {
		h.end(x)
		return
	}
	h.mu.Lock()
	if x.state == heldOver { // its connection has closed
		h.mu.Unlock()
		return
	}
	if h.closed || !time.Now().Before(x.deadline) {
		h.remove(x)
		h.mu.Unlock()
		x.answerEmpty()
		return
	}
	h.push(x)
	h.mu.Unlock()
	h.watch(x)
}
