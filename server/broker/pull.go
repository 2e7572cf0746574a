package broker

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// Bits of a pull's sysFlag, part of the protocol.
const (
	pullCommit       = 1 // commitOffset is to be committed
	pullSuspend      = 2 // the answer may wait for a message
	pullSubscription = 4 // the subscription is in the request itself
)

// Limits of one answer.
const (
	pullMaxMessages = 32
	pullMaxBytes    = 256 << 10 // the first message may be larger
	pullMaxScanned  = 800       // queue entries looked at

	// pullMaxHold is the longest a pull waits, so that it ends before the
	// connection is closed for idleness.
	pullMaxHold = 100 * time.Second
)

// pull is a request for messages that has passed all checks. It refers to
// nothing of the request's frame, so it can outlive the handler.
type pull struct {
	conn   *remoting.Conn
	token  remoting.Token
	group  *Group
	topic  *Topic
	queue  *store.Queue
	filter *filter

	offset      int64 // of the request
	next        int64 // where scanning goes on; offset until something was scanned
	maxMessages int
	maxBytes    int
}

// handlePull serves PULL_MESSAGE 11 and LITE_PULL_MESSAGE 361: messages of a
// queue from an offset on, waiting for the first one when there is none. The
// answer's nextBeginOffset is behind the last entry looked at, so that entries
// which the filter or damage rules out are not looked at again.
func handlePull(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	h, bad := parsePull(cmd)
	if bad != "" {
		b.refusePull(c, cmd, refuse(remoting.RespSystemError, "bad_header", "the field %s is missing or not a number", bad))
		return
	}
	p, r := b.newPull(c, cmd, &h)
	if r != nil {
		b.refusePull(c, cmd, r)
		return
	}
	if h.sysFlag&pullCommit != 0 && h.commitOffset >= 0 {
		b.offsets.Commit(p.group.Name, p.topic.Name, int32(h.queueID), h.commitOffset)
	}
	wait := time.Duration(0)
	if h.sysFlag&pullSuspend != 0 && h.suspendMs > 0 {
		wait = min(time.Duration(min(h.suspendMs, pullMaxHold.Milliseconds()))*time.Millisecond, pullMaxHold)
	}
	b.servePull(p, wait)
}

// newPull checks a pull in the order in which RocketMQ does.
func (b *Broker) newPull(c *remoting.Conn, cmd *remoting.Command, h *pullHeader) (*pull, *refusal) {
	group, err := b.groups.Ensure(h.group)
	switch {
	case errors.Is(err, errNoGroup), errors.Is(err, errName):
		return nil, refuse(remoting.RespSubscriptionGroupAbsent, "group_unknown", "subscription group [%.255s] does not exist", h.group)
	case err != nil:
		return nil, refuse(remoting.RespSystemError, "config_write", "%v", err)
	case !group.ConsumeEnable:
		return nil, refuse(remoting.RespNoPermission, "group_disabled", "subscription group no permission, %s", group.Name)
	}
	topic, ok := b.topics.Lookup(h.topic)
	switch {
	case !ok:
		return nil, refuse(remoting.RespTopicNotExist, "topic_unknown", "topic[%.255s] not exist, apply first please!", h.topic)
	case !topic.Readable():
		return nil, refuse(remoting.RespNoPermission, "topic_not_readable", "the topic[%s] pulling message is forbidden", topic.Name)
	case h.queueID < 0 || h.queueID >= int64(topic.ReadQueues):
		return nil, refuse(remoting.RespInvalidParameter, "queue_unknown", "queueId[%d] is illegal, topic:[%s] topicConfig.readQueueNums:[%d] consumer:[%s]", h.queueID, topic.Name, topic.ReadQueues, c.RemoteAddr())
	}
	f, r := b.pullFilter(group, topic, h)
	if r != nil {
		return nil, r
	}
	queue, err := topic.queue(int32(h.queueID))
	if err != nil {
		return nil, refuse(remoting.RespSystemError, "store_error", "open queue %d of topic %s: %v", h.queueID, topic.Name, err)
	}
	return &pull{
		conn: c, token: cmd.Token(), group: group, topic: topic, queue: queue, filter: f,
		offset: h.offset, next: h.offset,
		maxMessages: int(min(max(h.maxMessages, 1), pullMaxMessages)),
		maxBytes:    int(min(max(h.maxBytes, 1), pullMaxBytes)),
	}, nil
}

// pullFilter returns the filter of the request itself, else that of the
// group's heartbeat.
func (b *Broker) pullFilter(group *Group, topic *Topic, h *pullHeader) (*filter, *refusal) {
	if h.sysFlag&pullSubscription != 0 {
		f, err := parseFilter(h.subscription, h.expressionType)
		if err != nil {
			return nil, refuse(remoting.RespSystemError, "filter_type", "%v", err)
		}
		return f, nil
	}
	sub, broadcast, known := b.clients.Subscription(group.Name, topic.Name)
	switch {
	case !known && b.awaitsHeartbeat(group):
		return unfiltered(h)
	case !known:
		return nil, refuse(remoting.RespSubscriptionNotExist, "no_heartbeat", "the consumer's group info not exist, group: %s", group.Name)
	case broadcast && !group.BroadcastEnable:
		return nil, refuse(remoting.RespNoPermission, "broadcast_disabled", "the consumer group[%s] can not consume by broadcast way", group.Name)
	case sub == nil:
		return nil, refuse(remoting.RespSubscriptionNotExist, "not_subscribed", "the consumer's subscription not exist, group: %s", group.Name)
	case sub.version < h.version:
		return nil, refuse(remoting.RespSubscriptionNotLatest, "subscription_old", "the consumer's subscription not latest")
	case sub.filter == nil:
		return nil, refuse(remoting.RespSystemError, "filter_type", "%v", errFilterType)
	}
	return sub.filter, nil
}

// refusePull answers a pull that cannot be served now. Consumers come back
// with it every second or so; it is counted, not logged.
func (b *Broker) refusePull(c *remoting.Conn, cmd *remoting.Command, r *refusal) {
	b.metrics.refused.WithLabelValues(strconv.Itoa(int(r.code)), r.reason).Inc()
	b.reply(c, cmd, r.code, r.remark)
}

// servePull answers p now or, when there is nothing yet, within wait.
func (b *Broker) servePull(p *pull, wait time.Duration) {
	minOffset, maxOffset := p.queue.Min(), p.queue.Max()
	if code, next := misplaced(p.offset, minOffset, maxOffset); code != 0 {
		p.next = next
		b.answerPull(p, code)
		return
	}
	if b.deliver(p) {
		return
	}
	if p.next > p.offset || wait <= 0 { // scanned without a match, or not to be held
		b.answerEmpty(p)
		return
	}
	switch err := b.hold.park(b, p, time.Now().Add(wait)); {
	case errors.Is(err, errHoldFull): // an empty answer would make the client ask again at once
		b.metrics.refused.WithLabelValues(strconv.Itoa(int(remoting.RespSystemError)), "too_many_pulls").Inc()
		b.answerPullError(p, err)
	case err != nil:
		b.answerEmpty(p)
	}
}

// answerEmpty answers p without messages, behind what was looked at.
func (b *Broker) answerEmpty(p *pull) {
	if p.next > p.offset {
		b.answerPull(p, remoting.RespPullRetryImmediately)
		return
	}
	b.answerPull(p, remoting.RespPullNotFound)
}

// misplaced tells by what code and next offset a pull outside of the queue is
// put right; code 0 means that it is inside, or exactly at the end.
func misplaced(offset, minOffset, maxOffset int64) (code int32, next int64) {
	switch {
	case offset > maxOffset:
		return remoting.RespPullOffsetMoved, maxOffset // 0 for a queue that is empty
	case offset < minOffset:
		return remoting.RespPullOffsetMoved, minOffset
	}
	return 0, offset
}

// answerPull answers p with a code that carries no messages.
func (b *Broker) answerPull(p *pull, code int32) {
	if p.token.Oneway {
		return
	}
	var buf pullExt
	_ = p.conn.Reply(p.token, code, pullRemarks[code], buf.fields(p), nil) // see reply
}

// pullRemarks are RocketMQ's, for people who compare.
var pullRemarks = map[int32]string{
	remoting.RespSuccess:              "FOUND",
	remoting.RespPullNotFound:         "OFFSET_OVERFLOW_ONE",
	remoting.RespPullRetryImmediately: "NO_MATCHED_MESSAGE",
	remoting.RespPullOffsetMoved:      "OFFSET_OVERFLOW_BADLY",
}

// pullExt builds the header of a pull's answer; clients insist on all of it.
type pullExt [6]remoting.Field

func (e *pullExt) fields(p *pull) []remoting.Field {
	*e = pullExt{
		{Key: "suggestWhichBrokerId", Value: "0"},
		{Key: "nextBeginOffset", Value: strconv.FormatInt(p.next, 10)},
		{Key: "minOffset", Value: strconv.FormatInt(p.queue.Min(), 10)},
		{Key: "maxOffset", Value: strconv.FormatInt(p.queue.Max(), 10)},
		{Key: "topicSysFlag", Value: strconv.Itoa(int(p.topic.SysFlag))},
		{Key: "groupSysFlag", Value: strconv.Itoa(int(p.group.SysFlag))},
	}
	return e[:]
}

// String names the pull in log lines.
func (p *pull) String() string {
	return fmt.Sprintf("%s/%d@%d for %s", p.topic.Name, p.queue.ID(), p.next, p.group.Name)
}
