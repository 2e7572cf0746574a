package broker

import (
	"encoding/json"
	"slices"

	"github.com/duelog/duelog/server/remoting"
)

// assignment is one queue that a client is to pull from.
type assignment struct {
	Queue messageQueue `json:"messageQueue"`
	Mode  string       `json:"mode"`
}

// handleAssignment serves QUERY_ASSIGNMENT 400: clients that do not compute
// their share of the queues themselves have it computed here, by the same
// average allocation. Every member of the group asks for itself.
func handleAssignment(b *Broker, c *remoting.Conn, cmd *remoting.Command) {
	var body struct {
		Group    string  `json:"consumerGroup"`
		Topic    string  `json:"topic"`
		ClientID string  `json:"clientId"`
		Model    ordinal `json:"messageModel"`
	}
	if err := json.Unmarshal(cmd.Body, &body); err != nil {
		b.reply(c, cmd, remoting.RespSystemError, "assignment body is not understood")
		return
	}
	topic, ok := b.topics.Lookup(body.Topic)
	if !ok {
		b.reply(c, cmd, remoting.RespTopicNotExist, "topic["+body.Topic+"] not exist")
		return
	}
	first, end := int32(0), topic.ReadQueues
	if body.Model != modelBroadcasting {
		first, end = share(b.clients.ConsumerIDs(body.Group), body.ClientID, topic.ReadQueues)
	}
	list := make([]assignment, 0, end-first)
	for id := first; id < end; id++ {
		list = append(list, assignment{messageQueue{b.opts.BrokerName, id, topic.Name}, "PULL"})
	}
	b.replyJSON(c, cmd, struct {
		List []assignment `json:"messageQueueAssignments"`
	}{list})
}

// share is the client's range [first, end) of queues when they are dealt out
// evenly and in order, the first clients getting one more.
func share(clientIDs []string, clientID string, queues int32) (first, end int32) {
	i := int32(slices.Index(clientIDs, clientID))
	if i < 0 {
		return 0, 0
	}
	n := int32(len(clientIDs))
	size, rest := queues/n, queues%n
	first = i*size + min(i, rest)
	end = first + size
	if i < rest {
		end++
	}
	return first, end
}
