package broker

import (
	"container/heap"
	"context"
	"time"
)

// deadlines is a heap of parked pulls, the earliest deadline first.
type deadlines []*held

func (d deadlines) Len() int           { return len(d) }
func (d deadlines) Less(i, j int) bool { return d[i].deadline.Before(d[j].deadline) }
func (d deadlines) Swap(i, j int) {
	d[i], d[j] = d[j], d[i]
	d[i].index, d[j].index = i, j
}

// Push implements heap.Interface.
func (d *deadlines) Push(x any) {
	h := x.(*held)
	h.index = len(*d)
	*d = append(*d, h)
}

// Pop implements heap.Interface.
func (d *deadlines) Pop() any {
	last := len(*d) - 1
	x := (*d)[last]
	(*d)[last] = nil
	*d = (*d)[:last]
	return x
}

// runDeadlines answers parked pulls when their time is up.
func (h *hold) runDeadlines(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-h.kick:
		case <-timer.C:
		}
		late, next := h.due(time.Now())
		for _, x := range late {
			x.p.queue.Unwatch(x)
			x.answerEmpty()
		}
		timer.Reset(next)
	}
}

// due takes out what has reached its deadline and returns it with the time
// until the next one.
func (h *hold) due(now time.Time) (late []*held, next time.Duration) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for len(h.parked) > 0 {
		if wait := h.parked[0].deadline.Sub(now); wait > 0 {
			return late, wait
		}
		x := heap.Pop(&h.parked).(*held)
		h.remove(x)
		late = append(late, x)
	}
	return late, time.Hour
}
