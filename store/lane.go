package store

import (
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/consumequeue"
	"github.com/duelog/duelog/delayindex"
	"github.com/duelog/duelog/keyindex"
)

// laneCount is the number of lanes that take messages. Messages are put into
// lanes by how long they wait, so that all of a segment dies together and is
// recycled whole.
const laneCount = 4

const (
	// farLane is where messages of more than four days wait to be evacuated.
	farLane = 3
	// coldLane is where they are then; see coldStore.
	coldLane = 16
)

// laneClass describes one lane; see the package commitlog for what it stores.
type laneClass struct {
	name      string
	maxDelay  time.Duration // of the messages in it; 0 = no bound
	rollAfter time.Duration // a segment is sealed at this age; 0 = only when full
}

var laneClasses = [laneCount]laneClass{
	{"0-near", 2 * time.Hour, 0},
	{"1-day", 24 * time.Hour, 3 * time.Hour},
	{"2-days", 96 * time.Hour, 12 * time.Hour},
	{"3-far", 0, 6 * time.Hour},
}

// laneFor returns the lane of a message that waits for delayMs.
func laneFor(delayMs int64) uint8 {
	for i, c := range laneClasses {
		if c.maxDelay == 0 || delayMs <= c.maxDelay.Milliseconds() {
			return uint8(i)
		}
	}
	return laneCount - 1
}

// lane ties a commit log to its delay index. It is the log's Hooks: all methods
// of that interface run on the log's writer goroutine.
type lane struct {
	s     *Store
	id    uint8
	log   *commitlog.Log
	index *delayindex.Index
	keys  *keyindex.Index // nil = none is wanted

	segmentSize int64   // bytes
	deaths      *deaths // when what this process writes can be given back

	// bornMs is when the active memtable became non-empty; 0 = empty. Guarded by near.mu.
	bornMs int64
	// scratch and touched belong to the writer goroutine.
	scratch []delayindex.Entry
	hashes  []keyindex.Entry
	touched touchedQueues
}

// Assign gives each message that is due now its queue slot, before the batch
// is written: the slot stands in the record, so recovery can put it again.
func (l *lane) Assign(items []commitlog.Item, _ int64) {
	for i := range items {
		it := &items[i]
		if it.Flags&commitlog.FlagScheduled != 0 {
			continue
		}
		if q := l.s.registry.byID(it.Queue); q != nil {
			it.When = q.cq.Reserve(1)
		}
	}
}

// Committed makes durable messages visible or pending.
func (l *lane) Committed(items []commitlog.Item, storeMs, end int64, err error) {
	if err != nil {
		// The log is read-only. Its slots stay holes: a void slot that consumers have
		// passed would be given to another message after the restart.
		l.s.fail(err)
		return
	}
	l.scratch, l.hashes = l.scratch[:0], l.hashes[:0]
	bytes := int64(0)
	var dies unit
	for i := range items {
		it := &items[i]
		bytes += int64(it.Size)
		l.hashes = appendKeys(l.hashes, it.Loc, it.Keys)
		dies.raise(deathOf(it, storeMs))
		if it.Flags&commitlog.FlagScheduled != 0 {
			l.scratch = append(l.scratch, indexEntry(it))
			if q := l.s.registry.byID(it.Queue); q != nil {
				q.scheduled.Add(1)
			}
			continue
		}
		l.publish(it, storeMs)
	}
	l.deaths.note(items[0].Loc.Offset()-commitlog.RecordHeaderSize-commitlog.FrameHeaderSize, end, dies)
	l.touched.wake()
	l.s.payloadBytes.Add(bytes)
	l.s.written[BytesLog].Add(commitlog.FrameHeaderSize + int64(len(items))*commitlog.RecordHeaderSize + bytes)
	l.s.absorbKeys(l, l.hashes, end)
	l.s.absorb(l, l.scratch, end)
}

// publish puts the slot that Assign gave.
func (l *lane) publish(it *commitlog.Item, storeMs int64) {
	q := l.s.registry.byID(it.Queue)
	if q == nil {
		return // the topic was deleted while the batch was on its way
	}
	q.cq.Put(it.When, consumequeue.Entry{
		Loc: uint64(it.Loc), Size: uint32(it.Size), Tag: it.Tag, DeliverMs: storeMs,
	})
	l.touched.add(q)
}

// keepFor lets a message that fires late live from then on, not from its fire time.
func (l *lane) keepFor(loc commitlog.Loc, size uint32, fireMs int64) {
	off := loc.Offset()
	l.log.KeepFor(off, fireMs)
	l.deaths.keepFor(off-commitlog.RecordHeaderSize, off+int64(size), fireMs)
}

// SegmentAdded registers a segment before its first byte is used.
func (l *lane) SegmentAdded(id uint8, base int64) error {
	var e edit
	e.segment(id, commitlog.SegmentInfo{Base: base, End: base})
	if l.deaths != nil {
		e.units(id, base, 0, nil)
	}
	err := l.s.catalog.commit(e)
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("%w: %w", ErrDiskFull, err)
	}
	return err
}

// SegmentSealed keeps the final figures of a segment, which say when it dies.
// Without space for them the next checkpoint does it.
func (l *lane) SegmentSealed(id uint8, info commitlog.SegmentInfo) error {
	var e edit
	e.segment(id, info)
	if err := l.s.catalog.commit(e); !errors.Is(err, syscall.ENOSPC) {
		return err
	}
	return nil
}

// segmentBase is the base of the segment with the byte at off.
func (l *lane) segmentBase(off int64) int64 { return off - off%l.segmentSize }

// enterSegment ends the memtable where the segment of the frame that ends at end
// begins: in the far lane no run has entries of two segments, so that a segment
// can move with exactly its runs. It reports whether there is a memtable to flush.
func (l *lane) enterSegment(end int64) bool {
	base := l.segmentBase(end - 1)
	if l.id != farLane || l.index.MemtableStart() >= base {
		return false
	}
	l.index.Add(nil, base)
	return l.index.Freeze()
}

func indexEntry(it *commitlog.Item) delayindex.Entry {
	return delayindex.Entry{
		When:  delayindex.MakeWhen(it.When, 0),
		Loc:   uint64(it.Loc),
		Size:  uint32(it.Size),
		Queue: it.Queue,
		Tag:   it.Tag,
		Key:   it.Key,
	}
}
