package broker

import (
	"fmt"
	"strconv"

	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// queueRequest is the queue that a request names, as far as it exists.
type queueRequest struct {
	topic *Topic
	id    int32
	queue *store.Queue // nil: nothing was ever stored in it
}

// queueOf looks up the queue that cmd names by topic and queueId. When there
// is none the client has been told.
func (b *Broker) queueOf(c *remoting.Conn, cmd *remoting.Command) (queueRequest, bool) {
	name := cmd.Get("topic")
	topic, ok := b.topics.Lookup(name)
	if !ok {
		b.reply(c, cmd, remoting.RespTopicNotExist, fmt.Sprintf("topic[%.255s] not exist, apply first please!", name))
		return queueRequest{}, false
	}
	id, ok := intField(cmd, "queueId")
	if !ok || id < 0 || id >= int64(len(topic.queues)) {
		b.reply(c, cmd, remoting.RespInvalidParameter, fmt.Sprintf("queueId[%.255s] is illegal, topic: %s", cmd.Get("queueId"), name))
		return queueRequest{}, false
	}
	return queueRequest{topic, int32(id), topic.lookup(int32(id))}, true
}

// bounds returns the first readable slot and the first slot not yet visible.
func (r *queueRequest) bounds() (minOffset, maxOffset int64) {
	if r.queue == nil {
		return 0, 0
	}
	return r.queue.Min(), r.queue.Max()
}

// intField reads an integer header field; ok is false when it is absent or not
// an integer.
func intField(cmd *remoting.Command, key string) (int64, bool) {
	text, ok := cmd.Lookup(key)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(text, 10, 64)
	return n, err == nil
}

// handleQueryOffset serves QUERY_CONSUMER_OFFSET 14. For a group that has never
// committed, a queue that still has its beginning at hand begins at 0: a new
// consumer of a new topic gets what was sent before it came. Otherwise the
// answer is 22, upon which the client applies its own consume-from-where.
func handleQueryOffset(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	r, ok := b.queueOf(c, cmd)
	if !ok {
		return
	}
	if offset, ok := b.offsets.Query(cmd.Get("consumerGroup"), r.topic.Name, r.id); ok {
		b.replyOffset(c, cmd, offset)
		return
	}
	if cmd.Get("setZeroIfNotFound") != "false" && b.beginsHot(&r) {
		b.replyOffset(c, cmd, 0)
		return
	}
	b.reply(c, cmd, remoting.RespQueryNotFound, "Not found, maybe this group consumer boot first")
}

// A message is at hand when it became visible in the last hour, or when the
// whole log is so small that it may well be in memory: RocketMQ asks whether the
// message is in memory, which cannot be told for sure.
const (
	hotMs    = 60 * 60 * 1000
	hotBytes = 4 << 30
)

// beginsHot tells whether the queue still has its slot 0 and that is at hand, or
// is empty.
func (b *Broker) beginsHot(r *queueRequest) bool {
	minOffset, maxOffset := r.bounds()
	if minOffset > 0 {
		return false
	}
	if maxOffset == 0 {
		return true
	}
	var first [1]store.Delivery
	n, err := r.queue.Read(0, first[:])
	if err != nil || n == 0 {
		return false
	}
	return b.store.NowMs()-first[0].DeliverMs < hotMs || b.store.Stats().StoredBytes[store.BytesLog] < hotBytes
}

// handleUpdateOffset serves UPDATE_CONSUMER_OFFSET 15, mostly one-way. A
// negative offset, which Go clients send before they have one, changes nothing.
func handleUpdateOffset(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	r, ok := b.queueOf(c, cmd)
	if !ok {
		return
	}
	name := cmd.Get("consumerGroup")
	group, ok := b.groups.Lookup(name)
	if !ok {
		b.reply(c, cmd, remoting.RespSubscriptionGroupAbsent, fmt.Sprintf("Group %.255s not exist!", name))
		return
	}
	offset, ok := intField(cmd, "commitOffset")
	if !ok {
		b.reply(c, cmd, remoting.RespSystemError, "commitOffset is missing or not a number")
		return
	}
	if offset >= 0 {
		b.offsets.Commit(group.Name, r.topic.Name, r.id, offset)
	}
	b.reply(c, cmd, remoting.RespSuccess, "")
}

// handleMaxOffset serves GET_MAX_OFFSET 30.
func handleMaxOffset(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	if r, ok := b.queueOf(c, cmd); ok {
		_, maxOffset := r.bounds()
		b.replyOffset(c, cmd, maxOffset)
	}
}

// handleMinOffset serves GET_MIN_OFFSET 31.
func handleMinOffset(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	if r, ok := b.queueOf(c, cmd); ok {
		minOffset, _ := r.bounds()
		b.replyOffset(c, cmd, minOffset)
	}
}

// handleSearchOffset serves SEARCH_OFFSET_BY_TIMESTAMP 29: the first offset at
// or after a time or, with boundaryType UPPER, the last one at or before it.
// The time of a scheduled message is when it fired.
func handleSearchOffset(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	r, ok := b.queueOf(c, cmd)
	if !ok {
		return
	}
	ms, ok := intField(cmd, "timestamp")
	if !ok {
		b.reply(c, cmd, remoting.RespSystemError, "timestamp is missing or not a number")
		return
	}
	b.replyOffset(c, cmd, r.search(ms, isUpper(cmd.Get("boundaryType"))))
}

func isUpper(boundary string) bool { return boundary == "UPPER" || boundary == "upper" }

func (r *queueRequest) search(ms int64, upper bool) int64 {
	switch {
	case r.queue == nil:
		return 0
	case upper:
		return max(r.queue.SearchTime(ms+1)-1, r.queue.Min())
	default:
		return r.queue.SearchTime(ms)
	}
}

// handleEarliest serves GET_EARLIEST_MSG_STORETIME 32: -1 for an empty queue.
func handleEarliest(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	r, ok := b.queueOf(c, cmd)
	if !ok {
		return
	}
	ms := int64(-1)
	if r.queue != nil {
		var first [1]store.Delivery
		if n, err := r.queue.Read(r.queue.Min(), first[:]); err == nil && n == 1 && !first[0].Void {
			ms = first[0].DeliverMs
		}
	}
	b.reply(c, cmd, remoting.RespSuccess, "", remoting.Field{Key: "timestamp", Value: strconv.FormatInt(ms, 10)})
}
