package broker

import (
	"container/heap"

	"github.com/duelog/duelog/server/remoting"
)

// answerEmpty answers a pull that has waited in vain.
func (x *held) answerEmpty() { x.b.answerEmpty(x.p) }

// end forgets x, which is not parked.
func (h *hold) end(x *held) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if x.state != heldOver {
		h.remove(x)
	}
}

// remove forgets x, which is not in parked. The caller holds mu.
func (h *hold) remove(x *held) {
	x.state = heldOver
	set := h.byConn[x.p.conn]
	delete(set, x)
	if len(set) == 0 {
		delete(h.byConn, x.p.conn)
	}
	h.count--
	h.metrics.heldPulls.Dec()
}

// take ends x if it is parked; the caller that gets true answers it.
func (h *hold) take(x *held) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if x.state != heldParked {
		return false
	}
	heap.Remove(&h.parked, x.index)
	h.remove(x)
	return true
}

// dropConn forgets the pulls of a connection that has closed.
func (h *hold) dropConn(c *remoting.Conn) {
	h.mu.Lock()
	var parked []*held
	for x := range h.byConn[c] {
		if x.state == heldParked {
			heap.Remove(&h.parked, x.index)
			parked = append(parked, x)
		}
		h.remove(x)
	}
	h.mu.Unlock()
	for _, x := range parked {
		x.p.queue.Unwatch(x)
	}
}

// close answers everything that is parked and lets the workers finish.
func (h *hold) close() {
	h.mu.Lock()
	h.closed = true
	h.ready.Broadcast()
	parked := h.parked
	h.parked = nil
	for _, x := range parked {
		h.remove(x)
	}
	h.mu.Unlock()
	for _, x := range parked {
		x.p.queue.Unwatch(x)
		x.answerEmpty()
	}
}
