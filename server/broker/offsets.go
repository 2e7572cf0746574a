package broker

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// offsets holds how far each consumer group has consumed each queue. Commits
// go to memory and are written every few seconds when something has changed: a
// crash makes consumers see the messages of those seconds again, which is what
// at-least-once delivery allows.
type offsets struct {
	path    string
	metrics *metrics

	saving sync.Mutex // held across a file write

	mu      sync.RWMutex
	byKey   map[offsetKey]map[int32]int64 // queue id -> next offset to consume; guarded by mu
	changes uint64                        // commits so far; guarded by mu
	saved   uint64                        // changes when the file was written last; guarded by mu
}

// offsetKey is one consumer group's progress in one topic.
type offsetKey struct{ topic, group string }

// offsetsJSON is offsets.json: "topic@group" -> queue id -> offset.
type offsetsJSON struct {
	Table map[string]map[string]int64 `json:"offsetTable"`
}

// keySeparator joins topic and group in offsets.json; neither may contain it.
const keySeparator = "@"

func loadOffsets(b *Broker, configDir string) (*offsets, error) {
	o := &offsets{
		path:    filepath.Join(configDir, offsetsFile),
		metrics: b.metrics,
		byKey:   make(map[offsetKey]map[int32]int64),
	}
	saved, usedBackup, err := ReadOffsets(configDir)
	if err != nil {
		return nil, err
	}
	if usedBackup {
		b.log.Warn("config file was damaged, took its backup", "path", o.path)
	}
	for of, offset := range saved {
		o.Commit(of.Group, of.Topic, of.Queue, offset)
	}
	o.saved = o.changes
	return o, nil
}

// Commit notes that group has consumed the queue up to offset. Going back is
// allowed: it is how offsets are reset. It keeps no reference to the strings.
func (o *offsets) Commit(group, topic string, queue int32, offset int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	byQueue := o.byKey[offsetKey{topic, group}]
	if byQueue == nil {
		byQueue = make(map[int32]int64)
		o.byKey[offsetKey{strings.Clone(topic), strings.Clone(group)}] = byQueue
	}
	if old, ok := byQueue[queue]; ok && old == offset {
		return
	}
	byQueue[queue] = offset
	o.changes++
}

// Query returns the committed offset; ok is false when there is none.
func (o *offsets) Query(group, topic string, queue int32) (offset int64, ok bool) {
	o.mu.RLock()
	defer o.mu.RUnlock()
	offset, ok = o.byKey[offsetKey{topic, group}][queue]
	return offset, ok
}

// dropTopic forgets every group's progress in a topic that is deleted.
func (o *offsets) dropTopic(topic string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for key := range o.byKey {
		if key.topic == topic {
			delete(o.byKey, key)
			o.changes++
		}
	}
}

// all returns a copy of every offset.
func (o *offsets) all() map[offsetKey]map[int32]int64 {
	o.mu.RLock()
	defer o.mu.RUnlock()
	table := make(map[offsetKey]map[int32]int64, len(o.byKey))
	for key, byQueue := range o.byKey {
		table[key] = maps.Clone(byQueue)
	}
	return table
}

// save writes the offsets if they have changed since the last time.
func (o *offsets) save() error {
	o.saving.Lock()
	defer o.saving.Unlock()
	o.mu.RLock()
	changes, clean := o.changes, o.changes == o.saved
	o.mu.RUnlock()
	if clean {
		return nil
	}
	if err := writeJSON(o.path, o.json()); err != nil {
		return fmt.Errorf("save consumer offsets: %w", err)
	}
	o.metrics.offsetsSaved.Inc()
	o.mu.Lock()
	o.saved = changes // commits since then are written again, never missed
	o.mu.Unlock()
	return nil
}

func (o *offsets) json() offsetsJSON {
	all := o.all()
	table := make(map[string]map[string]int64, len(all))
	for key, byQueue := range all {
		row := make(map[string]int64, len(byQueue))
		for id, offset := range byQueue {
			row[strconv.Itoa(int(id))] = offset
		}
		table[key.topic+keySeparator+key.group] = row
	}
	return offsetsJSON{Table: table}
}

// runOffsets saves the offsets at intervals until the broker closes, which
// saves them a last time. A failure is logged and tried again.
func (b *Broker) runOffsets(ctx context.Context) {
	tick := time.NewTicker(b.opts.OffsetsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := b.offsets.save(); err != nil {
				b.log.Error("consumer offsets not saved, will try again", "error", err)
			}
		}
	}
}
