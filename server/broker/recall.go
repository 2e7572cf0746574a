package broker

import (
	"errors"
	"math"

	"github.com/duelog/duelog/commitlog"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
	"github.com/duelog/duelog/store"
)

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
	b.reply(c, cmd, remoting.RespSuccess, "", remoting.Field{Key: "msgId", Value: h.ID}, sendExt[0])
}

// recallTarget checks a request.
func (b *Broker) recallTarget(topic, handle string) (message.RecallHandle, *refusal) {
	h, ok := message.ParseRecallHandle(handle)
	switch {
	case !ok:
		return h, refuse(remoting.RespIllegalOperation, "recall_handle", "recall handle is invalid")
	case h.Topic != topic:
		return h, refuse(remoting.RespIllegalOperation, "recall_handle", "recall failed, topic not match")
	case h.Broker != b.opts.BrokerName:
		return h, refuse(remoting.RespIllegalOperation, "recall_handle", "recall failed, broker service not available")
	}
	if _, ok := b.topics.Lookup(topic); !ok {
		return h, refuse(remoting.RespTopicNotExist, "topic_unknown", "topic[%.255s] not exist, apply first please!", topic)
	}
	return h, nil
}

// recall cancels the message of a handle. It looks it up again when it was moved in
// between.
func (b *Broker) recall(h *message.RecallHandle) *refusal {
	err := store.ErrNotFound
	for range 2 {
		if errors.Is(err, store.ErrNotFound) {
			err = b.cancelAll(h)
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

// cancelAll cancels what a handle names: one message, or as many as it was sent again
// with the same id for the same time by a producer that had no answer.
func (b *Broker) cancelAll(h *message.RecallHandle) error {
	locs, err := b.locate(h)
	for _, loc := range locs {
		if err := b.store.Cancel(loc); err != nil {
			return err
		}
	}
	return err
}

// locate finds the messages of a handle.
func (b *Broker) locate(h *message.RecallHandle) (locs []commitlog.Loc, err error) {
	q := keyQuery{topic: h.Topic, key: h.ID, unique: true, max: maxQueryMessages, toMs: math.MaxInt64}
	found, err := b.find(&q)
	if err != nil {
		return nil, err
	}
	for _, m := range found {
		if st, err := b.store.State(m.loc); err == nil && st.FireMs == h.DueMs {
			locs = append(locs, m.loc)
		}
	}
	if len(locs) == 0 {
		return nil, store.ErrNotFound
	}
	return locs, nil
}
