package broker

import (
	"cmp"
	"slices"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/store"
)

// importGap is how far apart, in ms, the fire times of two messages may be for
// the index to be read from one to the other.
const importGap = 1000

// waitingKey is what an entry of the index tells of a message.
type waitingKey struct {
	fireMs int64
	key    uint32 // hash of its id
}

// markWaiting marks the messages of an import that wait already. A message keeps
// its fire time, so it can only stand at one place of the index; whether that is
// it the record decides. The lists that exports write are in the order of fire
// times and read a stretch of the index once; any other order is as right and
// slower.
func (b *Broker) markWaiting(items []importItem) error {
	byTime := make([]*importItem, len(items))
	for i := range items {
		byTime[i] = &items[i]
	}
	slices.SortFunc(byTime, func(x, y *importItem) int { return cmp.Compare(x.FireMs, y.FireMs) })
	for len(byTime) > 0 {
		n := 1
		for n < len(byTime) && byTime[n].FireMs-byTime[n-1].FireMs <= importGap {
			n++
		}
		if err := b.markStretch(byTime[:n]); err != nil {
			return err
		}
		byTime = byTime[n:]
	}
	return nil
}

// markStretch does it for messages with fire times close to each other.
func (b *Broker) markStretch(items []*importItem) error {
	byKey := make(map[waitingKey][]*importItem, len(items))
	for _, it := range items {
		if it.uniq != "" {
			k := waitingKey{it.FireMs, uint32(message.Hash(it.uniq))}
			byKey[k] = append(byKey[k], it)
		}
	}
	from, to := items[0].FireMs, items[len(items)-1].FireMs+1
	for m, err := range b.store.PendingAfter(store.PendingPosition{FireMs: from}, to) {
		if err != nil {
			return err
		}
		for _, it := range byKey[waitingKey{m.FireMs, m.Key}] {
			if !it.waits && m.Queue != nil && m.Queue.Topic() == it.msg.Topic {
				it.waits = b.hasID(&m, it.uniq)
			}
		}
	}
	return nil
}

// hasID tells whether the record of m has this id. One that cannot be read does
// not: importing it again is what saves it.
func (b *Broker) hasID(m *store.PendingMessage, uniq string) bool {
	view, err := b.store.Read(m.Loc, m.Size)
	if err != nil {
		return false
	}
	defer view.Release()
	var msg message.Message
	return checkRecord(view.Bytes()) == nil && message.Decode(view.Bytes(), &msg) == nil &&
		message.Get(msg.Properties, message.PropUniqKey) == uniq
}
