package tools

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/consumequeue"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/store"
)

// catalog reads the MANIFEST, or finds out what it said.
func (r *repair) catalog(ctx context.Context) error {
	m, err := store.ReadManifest(r.dir)
	var damaged *commitlog.CorruptionError
	switch {
	case err == nil && !r.endLost:
		r.use(m)
		return r.findCold(false, nil)
	case err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.As(err, &damaged):
		return manifestHint(r.dir, err)
	}
	m, intact, err := store.SalvageManifest(r.dir)
	if err != nil {
		return err
	}
	r.markLost = true
	r.e.note("the MANIFEST is lost: %d of its edits can be read; the queues are found out from the messages", intact)
	// Of what was written at different moments only the queues' names hold.
	hints := m.Cold
	r.use(&store.Manifest{
		Path: m.Path, Segments: map[uint8][]commitlog.SegmentInfo{}, GivenBack: map[uint8][]commitlog.Range{},
		Queues: m.Queues, NextQueue: m.NextQueue, Absorbed: make([]int64, len(m.Absorbed)),
	})
	for i := range r.m.Queues {
		r.m.Queues[i].Min, r.m.Queues[i].Next = 0, 0
	}
	if err := errors.Join(r.findCold(true, hints), r.findQueues(ctx)); err != nil {
		return err
	}
	return r.extents()
}

func (r *repair) use(m *store.Manifest) {
	r.m, r.newest, r.names = m, m, namesOf(m)
	r.badSlots, r.voidSlots, r.lanes = map[uint32][]slotRange{}, map[uint32][]slotRange{}, map[uint8]bool{}
}

// errEndLost says that a record is of a queue that the MANIFEST does not know yet: it
// has lost its end after that was durable, and the rest of it may be as old.
var errEndLost = errors.New("the MANIFEST has lost its end")

// findQueues reads all lanes for the numbers of queues that are not known yet.
func (r *repair) findQueues(ctx context.Context) error {
	known := map[uint32]bool{}
	for _, q := range r.m.Queues {
		known[q.ID] = true
	}
	var m message.Message
	err := r.eachRecord(ctx, func(it *commitlog.Item, _ int64, payload []byte) error {
		if known[it.Queue] || it.Queue == math.MaxUint32 || message.Decode(payload, &m) != nil {
			return nil
		}
		known[it.Queue] = true
		r.m.Queues = append(r.m.Queues, store.ManifestQueue{ID: it.Queue, Topic: string([]byte(m.Topic)), Num: m.QueueID})
		r.m.NextQueue = max(r.m.NextQueue, it.Queue+1)
		return nil
	})
	if err != nil {
		return err
	}
	slices.SortFunc(r.m.Queues, func(a, b store.ManifestQueue) int { return cmp.Compare(a.ID, b.ID) })
	r.names = namesOf(r.m)
	return nil
}

// eachRecord visits the records in all intact frames and blocks of all lanes: with the time
// at which the frame was written, which those in blocks do not have.
func (r *repair) eachRecord(ctx context.Context, visit func(it *commitlog.Item, storeMs int64, payload []byte) error) error {
	lanes, err := listLanes(r.dir, r.m)
	if err != nil {
		return err
	}
	inBlock := func(it *commitlog.Item, payload []byte) error { return visit(it, 0, payload) }
	if err := r.eachCold(ctx, inBlock); err != nil {
		return err
	}
	var buf commitlog.ScanBuffer
	for _, lane := range lanes {
		files, err := listSegmentsUsed(r.dir, nil, lane, holdsFrame)
		if err != nil {
			return err
		}
		for _, f := range files {
			_, err := commitlog.ScanFile(f.path, commitlog.FileScan{
				Lane: lane, Base: f.base, Whole: !f.last, Buffer: &buf,
				Visit: func(fr commitlog.Frame) error {
					for it, payload := range fr.Items() {
						if err := visit(&it, fr.StoreMs, payload); err != nil {
							return err
						}
					}
					return ctx.Err()
				},
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// extents finds out which slots the queues have from their files.
func (r *repair) extents() error {
	dir := filepath.Join(r.dir, store.ConsumeQueueDir)
	entries, err := consumequeue.ReadFormat(dir)
	if err != nil {
		return nil // gather tells
	}
	for i := range r.m.Queues {
		q := &r.m.Queues[i]
		sub := filepath.Join(dir, q.Topic, strconv.Itoa(int(q.Num)))
		bases, err := consumequeue.ListFiles(sub, entries)
		if err != nil {
			return err
		}
		if len(bases) == 0 {
			continue
		}
		q.Min, q.Next = bases[0], bases[0]
		last := bases[len(bases)-1]
		err = consumequeue.ScanFile(filepath.Join(sub, consumequeue.FileName(last)), last, last, func(slot int64, _ consumequeue.Entry, err error) bool {
			if err == nil {
				q.Next = slot + 1
			}
			return true
		})
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		q.Next = max(q.Next, last)
	}
	r.names = namesOf(r.m)
	return nil
}

// uniqKeyOf is the unique key of a stored message, nil if it cannot be read.
func uniqKeyOf(payload []byte) any {
	var m message.Message
	if message.Decode(payload, &m) != nil {
		return nil
	}
	if key := message.Get(m.Properties, message.PropUniqKey); key != "" {
		return string([]byte(key))
	}
	return nil
}
