package broker

import (
	"encoding/json"
	"strings"
	"sync"

	"github.com/duelog/duelog/server/remoting"
)

// lockMs is how long a queue stays locked without being locked again, in ms.
// Clients trust their lock for 30 s and renew it every 20 s, so a queue is given
// to another client only after its last owner has stopped.
const lockMs = 60_000

// locks is which client consumes which queue in order. Locks live in memory
// only: after a restart the first client to ask gets the queue.
type locks struct {
	mu    sync.Mutex
	owner map[lockKey]lock // guarded by mu
}

type lockKey struct {
	group, topic string
	queue        int32
}

type lock struct {
	clientID string
	sinceMs  int64 // locked or renewed
}

func newLocks() *locks { return &locks{owner: make(map[lockKey]lock)} }

// take locks the queue for the client unless another one holds it.
func (l *locks) take(key lockKey, clientID string, nowMs int64) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if held, ok := l.owner[key]; ok && held.clientID != clientID && nowMs-held.sinceMs < lockMs {
		return false
	}
	l.owner[key] = lock{clientID, nowMs}
	return true
}

// release unlocks the queue if the client holds it.
func (l *locks) release(key lockKey, clientID string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owner[key].clientID == clientID {
		delete(l.owner, key)
	}
}

// expire forgets the locks that nobody renews.
func (l *locks) expire(nowMs int64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for key, held := range l.owner {
		if nowMs-held.sinceMs >= lockMs {
			delete(l.owner, key)
		}
	}
}

// lockBody is the body of LOCK_BATCH_MQ and UNLOCK_BATCH_MQ.
type lockBody struct {
	Group    string         `json:"consumerGroup"`
	ClientID string         `json:"clientId"`
	Queues   []messageQueue `json:"mqSet"`
}

// messageQueue names a queue in JSON bodies, its fields in the order clients use.
type messageQueue struct {
	BrokerName string `json:"brokerName"`
	QueueID    int32  `json:"queueId"`
	Topic      string `json:"topic"`
}

// handleLock serves LOCK_BATCH_MQ 41: it locks what is free and answers with the
// queues that the client owns now. A queue that does not exist is not locked.
func handleLock(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	body, ok := b.lockBody(c, cmd)
	if !ok {
		return
	}
	now := b.store.NowMs()
	owned := make([]messageQueue, 0, len(body.Queues))
	for _, q := range body.Queues {
		topic, ok := b.topics.Lookup(q.Topic)
		if !ok || q.BrokerName != b.opts.BrokerName || q.QueueID < 0 || q.QueueID >= topic.ReadQueues {
			continue
		}
		if b.locks.take(lockKey{body.Group, topic.Name, q.QueueID}, body.ClientID, now) {
			owned = append(owned, q)
		}
	}
	b.replyJSON(c, cmd, struct {
		Owned []messageQueue `json:"lockOKMQSet"`
	}{owned})
}

// handleUnlock serves UNLOCK_BATCH_MQ 42.
func handleUnlock(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	body, ok := b.lockBody(c, cmd)
	if !ok {
		return
	}
	for _, q := range body.Queues {
		b.locks.release(lockKey{body.Group, q.Topic, q.QueueID}, body.ClientID)
	}
	b.reply(c, cmd, remoting.RespSuccess, "")
}

// lockBody decodes the request; when it is no good the client has been told.
func (b *Broker) lockBody(c *remoting.Conn, cmd *remoting.Command) (*lockBody, bool) {
	var body lockBody
	if err := json.Unmarshal(cmd.Body, &body); err != nil || strings.TrimSpace(body.ClientID) == "" {
		b.reply(c, cmd, remoting.RespSystemError, "lock body is not understood")
		return nil, false
	}
	if _, ok := b.groups.Lookup(body.Group); !ok {
		b.reply(c, cmd, remoting.RespSubscriptionGroupAbsent, "subscription group ["+body.Group+"] does not exist")
		return nil, false
	}
	return &body, true
}
