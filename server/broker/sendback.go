package broker

import (
	"strconv"
	"strings"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// firstRetryLevel is the delay level of the first redelivery; each further one
// waits a level longer.
const firstRetryLevel = 3

// sendBackHeader is the header of CONSUMER_SEND_MSG_BACK, its strings views of
// the request.
type sendBackHeader struct {
	group         string
	offset        int64 // physical
	delayLevel    int32 // 0: by the number of redeliveries; negative: give up
	maxReconsumes int32 // -1 when absent
}

func parseSendBack(cmd *remoting.Command) (h sendBackHeader, err error) {
	h.group = cmd.Get("group")
	if h.offset, err = cmd.Int64("offset"); err != nil {
		return h, err
	}
	if h.delayLevel, err = cmd.Int32Or("delayLevel", 0); err != nil {
		return h, err
	}
	h.maxReconsumes, err = cmd.Int32Or("maxReconsumeTimes", -1)
	return h, err
}

// handleSendBack serves CONSUMER_SEND_MSG_BACK 36: a consumer could not process
// a message and wants it again later. A copy with one more reconsumption goes to
// the group's retry topic, through the delay levels; after the last redelivery it
// goes to the group's dead-letter topic at once.
func handleSendBack(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	h, err := parseSendBack(cmd)
	if err != nil {
		b.refused(c, cmd.Token(), "", refuse(remoting.RespInvalidParameter, "bad_header", "%v", err))
		return
	}
	group, ok := b.groups.Lookup(h.group)
	if !ok {
		b.refused(c, cmd.Token(), retryPrefix+h.group, noGroup(h.group))
		return
	}
	if group.RetryQueues <= 0 {
		b.reply(c, cmd, remoting.RespSuccess, "")
		return
	}
	if ref := b.sendBack(c, cmd, &h, group); ref != nil {
		b.refused(c, cmd.Token(), group.RetryTopic(), ref)
	}
}

func (b *Broker) sendBack(c *remoting.Conn, cmd *remoting.Command, h *sendBackHeader, group *Group) (ref *refusal) {
	err := b.readMessage(commitlog.Loc(h.offset), func(m *message.Message, _ []byte) error {
		ref = b.putBack(m, h, group, &plainAck{b: b, c: c, t: cmd.Token()})
		return nil
	})
	if err != nil {
		return refuse(remoting.RespSystemError, "no_message", "look message by offset failed, %d: %v", h.offset, err)
	}
	return ref
}

// putBack stores the copy of m that is to be delivered again, or never again.
func (b *Broker) putBack(m *message.Message, h *sendBackHeader, group *Group, a *plainAck) *refusal {
	topic, level, ref := b.backTopic(m, h, group)
	if ref != nil {
		return ref
	}
	queueID, _ := pickQueue(topic, -1, a.c)
	r := b.prod.recorder()
	defer b.prod.recycle(r)
	r.copyOf(m)
	r.msg.ReconsumeTimes++
	r.info.scan(b.backProperties(m, h.offset, level))
	if ref := b.draft(r, topic, queueID); ref != nil {
		return ref
	}
	a.topic = topic
	if err := b.store.PutAsync(&r.put, a, 0); err != nil {
		return storeRefusal(err)
	}
	return nil
}

// backTopic says where a message goes that was sent back, and on what level.
func (b *Broker) backTopic(m *message.Message, h *sendBackHeader, group *Group) (topic *Topic, level int32, ref *refusal) {
	limit := group.RetryMaxTimes
	if h.maxReconsumes >= 0 {
		limit = h.maxReconsumes
	}
	if h.delayLevel < 0 || m.ReconsumeTimes >= limit {
		topic, ref = b.deadLetterTopic(group)
		return topic, 0, ref
	}
	topic, ref = b.retryTopic(group.Name)
	if ref == nil && !topic.Writable() {
		ref = refuse(remoting.RespNoPermission, "topic_not_writable", "the topic[%s] sending message is forbidden", topic.Name)
	}
	if h.delayLevel > 0 {
		return topic, h.delayLevel, ref
	}
	return topic, firstRetryLevel + m.ReconsumeTimes, ref
}

// backProperties are those of m, with where it came from and how long it waits.
func (b *Broker) backProperties(m *message.Message, offset int64, level int32) string {
	props := message.AppendFiltered(nil, m.Properties, func(name string) bool {
		return name != message.PropDelayLevel && name != message.PropWait
	})
	if message.Get(m.Properties, message.PropRetryTopic) == "" {
		props = message.AppendProperty(props, message.PropRetryTopic, m.Topic)
	}
	if message.Get(m.Properties, message.PropOriginMessageID) == "" {
		props = message.AppendProperty(props, message.PropOriginMessageID, message.OffsetID(b.opts.Advertise, offset))
	}
	props = message.AppendProperty(props, message.PropDelayLevel, strconv.Itoa(int(level)))
	return string(message.AppendProperty(props, message.PropWait, "false"))
}

// copyOf takes over what a message keeps when the broker stores it again.
func (r *recorder) copyOf(m *message.Message) {
	r.msg = message.Message{
		Flag: m.Flag, SysFlag: m.SysFlag, BornMs: m.BornMs, BornHost: m.BornHost,
		ReconsumeTimes: m.ReconsumeTimes, PreparedTxOffset: m.PreparedTxOffset, Body: m.Body,
	}
}

// redeliver is for consumers that, refused by 36, send the message themselves
// with 10 or 310 to the retry topic. One that came back more often than its
// limit goes to the dead-letter topic instead.
func (b *Broker) redeliver(r *recorder, retry *Topic) (*Topic, *refusal) {
	h := &r.request
	name := strings.TrimPrefix(retry.Name, retryPrefix)
	group, ok := b.groups.Lookup(name)
	if !ok {
		return nil, noGroup(name)
	}
	limit := group.RetryMaxTimes
	if h.maxReconsumes >= 0 {
		limit = h.maxReconsumes
	}
	if h.reconsumes <= limit {
		return retry, nil
	}
	h.queueID = -1
	r.info.scan(message.Set(h.properties, message.PropDelayLevel, "0"))
	return b.deadLetterTopic(group)
}

// retryTopic returns the topic of a group's redeliveries, creating it if need be.
func (b *Broker) retryTopic(name string) (*Topic, *refusal) {
	group, ok := b.groups.Lookup(name)
	if !ok {
		return nil, noGroup(name)
	}
	queues := max(group.RetryQueues, 1)
	topic, err := b.topics.Ensure(group.RetryTopic(), queues, queues, permRead|permWrite)
	if err != nil {
		return nil, refuse(remoting.RespSystemError, "config_write", "%v", err)
	}
	return topic, nil
}

// deadLetterTopic returns the topic of a group's given-up messages and counts
// one more of them.
func (b *Broker) deadLetterTopic(group *Group) (*Topic, *refusal) {
	topic, err := b.topics.Ensure(dlqPrefix+group.Name, 1, 1, permRead|permWrite)
	if err != nil {
		return nil, refuse(remoting.RespSystemError, "config_write", "%v", err)
	}
	b.metrics.toDLQ.WithLabelValues(topic.Name, group.Name).Inc()
	return topic, nil
}

func noGroup(name string) *refusal {
	return refuse(remoting.RespSubscriptionGroupAbsent, "group_unknown", "subscription group not exist, %.255s", name)
}

// plainAck answers without fields when the store is done.
type plainAck struct {
	b     *Broker
	c     *remoting.Conn
	t     remoting.Token
	topic *Topic
}

// PutDone implements store.Completer.
func (a *plainAck) PutDone(_ uint64, r store.Result, err error) {
	if err != nil {
		a.b.refused(a.c, a.t, a.topic.Name, storeRefusal(err))
		return
	}
	a.topic.in.add(1, int(r.Size))
	a.b.answer(a.c, a.t, remoting.RespSuccess, "", nil)
}
