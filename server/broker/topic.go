package broker

import (
	"sync/atomic"

	"github.com/duelog/duelog/store"
)

// Permission bits of a topic, part of the protocol.
const (
	permInherit int32 = 1 // others may be created in its image
	permWrite   int32 = 2
	permRead    int32 = 4
	permAll           = permInherit | permWrite | permRead
)

// Topic is one topic's configuration; it never changes: an update publishes
// another Topic. Pointers may be kept for the length of a request only.
type Topic struct {
	Name        string
	ReadQueues  int32 // queues 0..ReadQueues-1 may be pulled
	WriteQueues int32 // queues 0..WriteQueues-1 may be sent to
	Perm        int32 // permRead | permWrite | permInherit
	SysFlag     int32
	Order       bool
	FilterType  string            // SINGLE_TAG or MULTI_TAG; kept for tools
	Attributes  map[string]string // e.g. message.type; kept for tools
	System      bool              // made by the broker, not persisted, not to be changed by clients

	store  *store.Store
	queues []atomic.Pointer[store.Queue] // by queue id, filled on first use
	in     inCounters
}

// Readable tells whether consumers may pull from the topic.
func (t *Topic) Readable() bool { return t.Perm&permRead != 0 }

// Writable tells whether producers may send to the topic.
func (t *Topic) Writable() bool { return t.Perm&permWrite != 0 }

// queue returns queue id of the topic, creating it in the store on first use.
// The caller has checked id against ReadQueues or WriteQueues.
func (t *Topic) queue(id int32) (*store.Queue, error) {
	slot := &t.queues[id]
	if q := slot.Load(); q != nil {
		return q, nil
	}
	q, err := t.store.Queue(t.Name, id)
	if err != nil {
		return nil, err
	}
	slot.Store(q)
	return q, nil
}

// lookup returns queue id if it was ever used, else nil.
func (t *Topic) lookup(id int32) *store.Queue {
	if q := t.queues[id].Load(); q != nil {
		return q
	}
	return t.store.LookupQueue(t.Name, id)
}
