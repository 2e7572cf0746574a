package store

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
)

// registry maps topic and queue number to the dense ids that stand in records,
// index entries and journal batches. Ids are never used twice.
type registry struct {
	s *Store

	mu    sync.RWMutex
	byKey map[queueKey]*Queue
	share map[string]*share // by topic
	next  uint32

	// ids is indexed by dense id; replaced as a whole when it grows, so that
	// the hot paths read it without a lock.
	ids atomic.Pointer[[]*Queue]
}

func newRegistry(s *Store) *registry {
	r := &registry{s: s, byKey: map[queueKey]*Queue{}, share: map[string]*share{}}
	r.ids.Store(&[]*Queue{})
	return r
}

// byID returns nil for an id that was never given or whose topic was deleted.
func (r *registry) byID(id uint32) *Queue {
	ids := *r.ids.Load()
	if int64(id) >= int64(len(ids)) {
		return nil
	}
	return ids[id]
}

func (r *registry) lookup(k queueKey) *Queue {
	r.mu.RLock()
	defer r.mu.RUnlock()
	return r.byKey[k]
}

// create returns the queue of k and registers it durably when it is new.
func (r *registry) create(k queueKey) (*Queue, error) {
	if len(k.topic) == 0 || len(k.topic) > maxTopicBytes || k.num < 0 {
		return nil, fmt.Errorf("create queue %d of topic %q: topic must be 1 to %d bytes, queue not negative", k.num, k.topic, maxTopicBytes)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if q := r.byKey[k]; q != nil {
		return q, nil
	}
	cq, err := r.s.queues.Queue(k.topic, k.num, 0, 0)
	if err != nil {
		return nil, fmt.Errorf("create queue %d of topic %s: %w", k.num, k.topic, err)
	}
	id := r.next
	var e edit
	e.queue(id, k)
	if err := r.s.catalog.commit(e); err != nil {
		return nil, errors.Join(fmt.Errorf("create queue %d of topic %s: %w", k.num, k.topic, err), cq.Delete())
	}
	r.next = id + 1
	q := newQueue(r.s, id, queueState{key: k}, cq, r.shareLocked(k.topic))
	r.byKey[k] = q
	r.setID(id, q)
	return q, nil
}

// shareLocked returns what the queues of a topic have in common.
func (r *registry) shareLocked(topic string) *share {
	if r.share[topic] == nil {
		r.share[topic] = &share{}
	}
	return r.share[topic]
}

func (r *registry) setID(id uint32, q *Queue) {
	old := *r.ids.Load()
	ids := make([]*Queue, max(len(old), int(id)+1))
	copy(ids, old)
	ids[id] = q
	r.ids.Store(&ids)
}

// restore opens the queues of the catalog at start.
func (r *registry) restore(st *catalogState) error {
	ids := make([]*Queue, st.nextQueue)
	r.ids.Store(&ids)
	r.next = st.nextQueue
	for id, qs := range st.queues {
		cq, err := r.s.queues.Queue(qs.key.topic, qs.key.num, qs.min, qs.next)
		if err != nil {
			return fmt.Errorf("open queue %d of topic %s: %w", qs.key.num, qs.key.topic, err)
		}
		q := newQueue(r.s, id, qs, cq, r.shareLocked(qs.key.topic))
		r.byKey[qs.key], ids[id] = q, q
	}
	return nil
}

// remove forgets all queues of topic, with their files. No queue of that name is
// created while it does.
func (r *registry) remove(topic string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	var gone []*Queue
	var e edit
	for k, q := range r.byKey {
		if k.topic == topic {
			gone = append(gone, q)
			e.queueGone(q.id)
		}
	}
	if len(gone) == 0 {
		return nil
	}
	if err := r.s.catalog.commit(e); err != nil {
		return fmt.Errorf("delete topic %s: %w", topic, err)
	}
	var errs []error
	delete(r.share, topic)
	for _, q := range gone {
		q.deleted.Store(true)
		delete(r.byKey, q.key)
		r.setID(q.id, nil)
	}
	for _, q := range gone {
		q.wake()
		errs = append(errs, q.cq.Delete())
	}
	return errors.Join(errs...)
}

func (r *registry) all() []*Queue {
	r.mu.RLock()
	defer r.mu.RUnlock()
	out := make([]*Queue, 0, len(r.byKey))
	for _, q := range r.byKey {
		out = append(out, q)
	}
	return out
}

// DeleteTopic removes all queues of a topic with their consume queue files.
// Messages of it that still wait are dropped when they become due.
func (s *Store) DeleteTopic(topic string) error {
	return s.registry.remove(topic)
}
