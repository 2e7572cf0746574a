package broker

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/store"
)

// half is an open transaction.
type half struct {
	slot    int64 // in the queue of topicHalf; its name
	loc     commitlog.Loc
	storeMs int64
	nextMs  int64 // when to ask the producer
	checks  int   // how often it was asked since the broker started
	claimed bool  // somebody is ending it
}

// transactions knows which half messages are open, asks producers about them,
// and keeps the record of what is finished.
type transactions struct {
	b    *Broker
	prod *producerSide
	wake chan struct{} // something is in done

	mu   sync.Mutex
	open map[int64]*half // by slot; guarded by mu, as what follows
	next int64           // the slot after the last half message known of
	low  int64           // no slot below it is open
	done []int64         // finished, but not yet recorded as such
}

// startTransactions finds what is open and begins to ask for it.
func startTransactions(b *Broker, prod *producerSide) (*transactions, error) {
	x := &transactions{b: b, prod: prod, wake: make(chan struct{}, 1), open: make(map[int64]*half)}
	if err := x.restore(); err != nil {
		return nil, fmt.Errorf("recover open transactions: %w", err)
	}
	b.spawn(x.runRecords)
	b.spawn(x.runChecks)
	return x, nil
}

// close records what was finished last. The goroutines have ended.
func (x *transactions) close() error { return x.record(context.Background()) }

// opened takes up a half message that is durable now. It may be called on the
// store's writer goroutine.
func (x *transactions) opened(r store.Result) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.openLocked(r.Slot, r.Loc, r.StoreMs)
}

func (x *transactions) openLocked(slot int64, loc commitlog.Loc, storeMs int64) {
	x.open[slot] = &half{slot: slot, loc: loc, storeMs: storeMs, nextMs: storeMs + firstCheckAfter.Milliseconds()}
	x.next = max(x.next, slot+1)
}

// claim reserves the open transaction at slot for the caller, who has to call
// finish or release. It fails for one that is not open, is claimed, or is not at loc.
func (x *transactions) claim(slot int64, loc commitlog.Loc) (half, bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.open[slot]
	if h == nil || h.claimed || h.loc != loc {
		return half{}, false
	}
	h.claimed = true
	return *h, true
}

// release gives a claim back: the transaction stays open.
func (x *transactions) release(slot int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	if h := x.open[slot]; h != nil {
		h.claimed = false
	}
}

// finish ends a claimed transaction. That it did becomes durable a little later.
// It may be called on the store's writer goroutine.
func (x *transactions) finish(slot int64) {
	x.mu.Lock()
	delete(x.open, slot)
	x.done = append(x.done, slot)
	x.mu.Unlock()
	x.kick()
}

func (x *transactions) kick() {
	select {
	case x.wake <- struct{}{}:
	default:
	}
}

// due returns what is to be asked for at nowMs, longest due first, at most most.
func (x *transactions) due(nowMs int64, most int) []half {
	x.mu.Lock()
	defer x.mu.Unlock()
	var list []half
	for _, h := range x.open {
		if h.nextMs <= nowMs && !h.claimed {
			list = append(list, *h)
		}
	}
	slices.SortFunc(list, func(a, b half) int {
		return cmp.Or(cmp.Compare(a.nextMs, b.nextMs), cmp.Compare(a.slot, b.slot))
	})
	return list[:min(len(list), most)]
}

// postpone says when a transaction is to be looked at again, and counts a check
// if its producer was asked.
func (x *transactions) postpone(slot, nextMs int64, asked bool) {
	x.mu.Lock()
	defer x.mu.Unlock()
	h := x.open[slot]
	if h == nil {
		return
	}
	h.nextMs = nextMs
	if asked {
		h.checks++
	}
}

// takeDone returns finished slots to record, and the first slot that a recovery
// has to look at once they are recorded.
func (x *transactions) takeDone(most int) (slots []int64, low int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	n := min(len(x.done), most)
	slots, x.done = x.done[:n:n], x.done[n:]
	for x.low < x.next && x.open[x.low] == nil {
		x.low++
	}
	low = x.low
	for _, slot := range x.done {
		low = min(low, slot)
	}
	return slots, low
}

// untakeDone gives back what could not be recorded.
func (x *transactions) untakeDone(slots []int64) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.done = append(x.done, slots...)
}

// runRecords records finished transactions until the broker closes.
func (x *transactions) runRecords(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-x.wake:
			if err := x.record(ctx); err != nil && ctx.Err() == nil {
				x.b.log.Warn("finished transactions not recorded, producers may be asked again", "error", err)
			}
		}
	}
}

// record writes all that is finished to topicHalfOp. What could not be written
// is tried again with the next.
func (x *transactions) record(ctx context.Context) error {
	for {
		slots, low := x.takeDone(maxFinishedPerRecord)
		if len(slots) == 0 {
			return nil
		}
		body := appendFinished(nil, low, slots)
		if err := x.put(ctx, topicHalfOp, &message.Message{Body: body, BornMs: x.b.store.NowMs(), BornHost: x.b.opts.Advertise}); err != nil {
			x.untakeDone(slots)
			return err
		}
	}
}

// put stores a copy of m in a topic of the broker's own and returns when it is durable.
func (x *transactions) put(ctx context.Context, topicName string, m *message.Message) error {
	topic, _ := x.b.topics.Lookup(topicName)
	r := x.prod.recorder()
	defer x.prod.recycle(r)
	r.copyOf(m)
	r.info.scan(m.Properties)
	if ref := r.draft(topic, 0, schedule{}, x.b.store.NowMs()); ref != nil {
		return ref
	}
	ctx, cancel := context.WithTimeout(ctx, putTimeout)
	defer cancel()
	_, err := x.b.store.Put(ctx, &r.put)
	return err
}

// putTimeout bounds how long a record of the broker's own may take to store.
const putTimeout = 30 * time.Second
