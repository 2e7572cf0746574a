package broker

import (
	"encoding/base64"
	"errors"
	"math"
	"strconv"
	"strings"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

// The answer to the send of a message that waits for an exact time carries a recall handle: URL-safe
// base64 of
//
//	v1 <topic> <broker> <due time in ms, plus 1> <UNIQ_KEY>
//
// which is what RocketMQ 5.3 and later give out and take back.
const (
	recallVersion = "v1"
	recallFields  = 5
)

// appendRecallHandle appends the handle of a message that is due at fireMs.
func appendRecallHandle(dst []byte, topic, brokerName string, fireMs int64, uniqKey string) []byte {
	var buf [512]byte
	b := append(buf[:0], recallVersion+" "...)
	b = append(append(b, topic...), ' ')
	b = append(append(b, brokerName...), ' ')
	b = append(strconv.AppendInt(b, fireMs+1, 10), ' ')
	b = append(b, uniqKey...)
	return base64.URLEncoding.AppendEncode(dst, b)
}

// recallHandle is what a handle says.
type recallHandle struct {
	topic, broker, uniqKey string
	fireMs                 int64
}

func parseRecallHandle(s string) (h recallHandle, ok bool) {
	b, err := base64.URLEncoding.DecodeString(s)
	if err != nil {
		return h, false
	}
	f := strings.Split(string(b), " ")
	if len(f) != recallFields || f[0] != recallVersion || f[1] == "" || f[4] == "" {
		return h, false
	}
	ms, err := strconv.ParseInt(f[3], 10, 64)
	if err != nil || ms < 1 {
		return h, false
	}
	return recallHandle{topic: f[1], broker: f[2], fireMs: ms - 1, uniqKey: f[4]}, true
}

// handleRecall serves RECALL_MESSAGE 370: it cancels a message that waits. The answer
// tells the truth, over a crash too: 0, also for one that was recalled before, means
// that it never comes; 604 "too late" that it came or will come; 22 that there is no
// such message. It is sent when the cancellation is durable by the flush policy;
// further requests of the connection wait for that.
func handleRecall(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	topic := cmd.Get("topic")
	h, ref := b.recallTarget(topic, cmd.Get("recallHandle"))
	if ref == nil {
		ref = b.recall(&h)
	}
	if ref != nil {
		b.refused(c, cmd.Token(), topic, ref)
		return
	}
	b.reply(c, cmd, remoting.RespSuccess, "", remoting.Field{Key: "msgId", Value: h.uniqKey}, sendExt[0])
}

// recallTarget checks a request.
func (b *Broker) recallTarget(topic, handle string) (recallHandle, *refusal) {
	h, ok := parseRecallHandle(handle)
	switch {
	case !ok:
		return h, refuse(remoting.RespIllegalOperation, "recall_handle", "recall handle is invalid")
	case h.topic != topic:
		return h, refuse(remoting.RespIllegalOperation, "recall_handle", "recall failed, topic not match")
	case h.broker != b.opts.BrokerName:
		return h, refuse(remoting.RespIllegalOperation, "recall_handle", "recall failed, broker service not available")
	}
	if _, ok := b.topics.Lookup(topic); !ok {
		return h, refuse(remoting.RespTopicNotExist, "topic_unknown", "topic[%.255s] not exist, apply first please!", topic)
	}
	return h, nil
}

// recall cancels the message of a handle. It looks the message up again when it was moved
// in between.
func (b *Broker) recall(h *recallHandle) *refusal {
	err := store.ErrNotFound
	for range 2 {
		if !errors.Is(err, store.ErrNotFound) {
			break
		}
		var loc commitlog.Loc
		if loc, err = b.locate(h); err == nil {
			err = b.store.Cancel(loc)
		}
	}
	switch {
	case err == nil:
		return nil
	case errors.Is(err, store.ErrTooLate):
		return refuse(remoting.RespIllegalOperation, "recall_too_late", "recall failed, too late: the message is due already")
	case errors.Is(err, store.ErrNotFound):
		return refuse(remoting.RespQueryNotFound, "recall_unknown", "recall failed, no such message")
	case errors.Is(err, store.ErrNoKeys):
		return refuse(remoting.RespNoPermission, "recall_off", "recall failed, operation is forbidden: the broker has no key index (setting key-index)")
	case errors.Is(err, store.ErrTooMany):
		return refuse(remoting.RespSystemBusy, "recall_too_many", "recall failed, too many messages are recalled")
	}
	return storeRefusal(err)
}

// locate finds the message of a handle.
func (b *Broker) locate(h *recallHandle) (commitlog.Loc, error) {
	q := keyQuery{topic: h.topic, key: h.uniqKey, unique: true, max: maxQueryMessages, toMs: math.MaxInt64}
	found, err := b.find(&q)
	if err != nil {
		return 0, err
	}
	for _, m := range found {
		if st, err := b.store.State(m.loc); err == nil && st.FireMs == h.fireMs {
			return m.loc, nil
		}
	}
	return 0, store.ErrNotFound
}
