package broker

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// ImportOptions say how Import treats what it is given. The zero value takes
// everything.
type ImportOptions struct {
	// SkipExisting leaves out a message that waits already, with the same topic, id
	// and fire time. What has fired since is not recognised.
	SkipExisting bool
}

// ImportResult says what became of the messages of one Import.
type ImportResult struct {
	Imported int `json:"imported"` // stored, those that were due included
	Due      int `json:"due"`      // of these, stored for now because their time had come
	Skipped  int `json:"skipped"`  // waited already
	// Refused are those that were not stored, with the reason.
	Refused []ImportRefusal `json:"refused"`
}

// ImportRefusal says why one message was not stored.
type ImportRefusal struct {
	Index  int    `json:"index"` // among those given
	Reason string `json:"reason"`
}

// handleImport serves DUELOG_IMPORT 30003: the body is message envelopes, which
// are stored under their own ids and fire times. With skipExisting=true those that
// wait already are left out. The answer is sent when all are durable by the flush
// policy, as ImportResult in JSON. It holds up its connection, not others.
func handleImport(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	var o ImportOptions
	var err error
	if o.SkipExisting, err = cmd.BoolOr("skipExisting", false); err != nil {
		b.reply(c, cmd, remoting.RespInvalidParameter, err.Error())
		return
	}
	res, err := b.Import(cmd.Body, &o)
	if err != nil {
		b.reply(c, cmd, remoting.RespSystemError, err.Error())
		return
	}
	b.replyJSON(c, cmd, res)
}

// Import stores the messages of a list of envelopes and returns when they are
// durable by the flush policy. A message keeps its id, fire time, body, keys,
// tags, properties, born time and host; its store time and location are new, and
// the properties in which a broker notes its own doings are written anew. One
// whose time has come is visible at once. A topic that does not exist is created.
//
// The error is about the list as a whole, which is not understood; nothing was
// stored then. Importing a list twice stores everything twice unless
// Options.SkipExisting is set.
func (b *Broker) Import(envelopes []byte, o *ImportOptions) (*ImportResult, error) {
	items, err := importItems(envelopes)
	if err != nil {
		return nil, err
	}
	if o != nil && o.SkipExisting {
		if err := b.markWaiting(items); err != nil {
			return nil, err
		}
	}
	im := &importing{b: b, result: &ImportResult{Refused: []ImportRefusal{}}, items: items}
	for i := range items {
		if items[i].waits {
			im.result.Skipped++
			continue
		}
		im.put(i)
	}
	im.pending.Wait()
	return im.result, nil
}

// EnsureTopic creates a topic, durably, unless there is one of that name. It is for
// tools that bring topics along with their messages.
func (b *Broker) EnsureTopic(name string, readQueues, writeQueues, perm int32) error {
	_, err := b.topics.Ensure(name, readQueues, writeQueues, perm)
	return err
}

// importItem is one message of an import.
type importItem struct {
	message.Envelope
	msg   message.Message
	uniq  string // UNIQ_KEY
	topic *Topic // for counting it
	waits bool
}

func importItems(envelopes []byte) ([]importItem, error) {
	var items []importItem
	for e, err := range message.Envelopes(envelopes) {
		if err != nil {
			return nil, fmt.Errorf("message %d of the import: %w", len(items), err)
		}
		it := importItem{Envelope: e}
		if err := message.Decode(e.Record, &it.msg); err != nil {
			return nil, fmt.Errorf("message %d of the import: %w", len(items), err)
		}
		it.uniq = message.Get(it.msg.Properties, message.PropUniqKey)
		items = append(items, it)
	}
	return items, nil
}

// importing is one Import under way.
type importing struct {
	b       *Broker
	items   []importItem
	pending sync.WaitGroup

	mu     sync.Mutex
	result *ImportResult // guarded by mu while pending is not zero
}

// put stores one message, or notes why not.
func (im *importing) put(i int) {
	it := &im.items[i]
	r := im.b.prod.recorder()
	defer im.b.prod.recycle(r)
	if ref := im.draft(r, it); ref != nil {
		im.refused(i, ref)
		return
	}
	im.pending.Add(1)
	if err := im.b.store.PutAsync(&r.put, im, uint64(i)); err != nil {
		im.pending.Done()
		im.refused(i, storeRefusal(err))
	}
}

// draft makes the record of it.
func (im *importing) draft(r *recorder, it *importItem) *refusal {
	if err := message.CheckBody(&it.msg); err != nil {
		return refuse(remoting.RespMessageIllegal, "damaged", "%v", err)
	}
	if ref := checkBody(it.msg.Body, im.b.opts.MaxMessageSize); ref != nil {
		return ref
	}
	topic, ref := im.b.importTopic(it.msg.Topic, it.msg.QueueID)
	if ref != nil {
		return ref
	}
	it.topic = topic
	r.info.scan(message.Delete(it.msg.Properties, message.PropTimerOutMs, message.PropTimerEnqueueMs, message.PropTimerDequeueMs))
	r.msg = it.msg
	nowMs := im.b.store.NowMs()
	when, ref := im.b.importTime(&r.info, it.FireMs, nowMs)
	if ref != nil {
		return ref
	}
	return r.draft(topic, it.msg.QueueID%topic.WriteQueues, when, nowMs)
}

// importTime is when a message is due: at the given time, whatever its properties
// ask for. A delay level only tells which of them consumers are to see.
func (b *Broker) importTime(p *properties, fireMs, nowMs int64) (schedule, *refusal) {
	switch {
	case fireMs <= nowMs:
		return schedule{}, nil
	case fireMs-nowMs > b.prod.maxDelay.Milliseconds():
		return schedule{}, tooFar("its fire time", b.prod.maxDelay)
	}
	level, err := strconv.Atoi(p.delay.level)
	if err != nil || level < 0 {
		level = 0
	}
	return schedule{fireMs: fireMs, level: min(level, maxLevel)}, nil
}

// importTopic finds the topic of an imported message or creates it, large enough
// for its queue.
func (b *Broker) importTopic(name string, queueID int32) (*Topic, *refusal) {
	if queueID < 0 || queueID >= MaxQueues {
		return nil, refuse(remoting.RespInvalidParameter, "queue_id", "its queue number %d is not within 0..%d", queueID, MaxQueues-1)
	}
	topic, ok := b.topics.Lookup(name)
	if !ok {
		queues := max(b.opts.DefaultTopicQueues, queueID+1)
		if strings.HasPrefix(name, retryPrefix) {
			queues = max(defaultRetryQueues, queueID+1)
		}
		var err error
		topic, err = b.topics.Ensure(name, queues, queues, permRead|permWrite)
		switch {
		case errors.Is(err, errName):
			return nil, refuse(remoting.RespInvalidParameter, "topic_name", "%v", err)
		case err != nil:
			return nil, refuse(remoting.RespSystemError, "config_write", "%v", err)
		}
	}
	if topic.System && isSendForbidden(topic.Name) {
		return nil, refuse(remoting.RespNoPermission, "topic_forbidden", "the topic %s is the broker's own", topic.Name)
	}
	return topic, nil
}

func (im *importing) refused(i int, ref *refusal) {
	im.mu.Lock()
	defer im.mu.Unlock()
	im.result.Refused = append(im.result.Refused, ImportRefusal{Index: i, Reason: ref.remark})
}

// PutDone implements store.Completer.
func (im *importing) PutDone(cookie uint64, r store.Result, err error) {
	defer im.pending.Done()
	if err != nil {
		im.refused(int(cookie), storeRefusal(err))
		return
	}
	im.items[cookie].topic.in.add(1, int(r.Size))
	im.mu.Lock()
	defer im.mu.Unlock()
	im.result.Imported++
	if r.FireMs == 0 {
		im.result.Due++
	}
}
