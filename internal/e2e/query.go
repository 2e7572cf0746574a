package e2e

import (
	"fmt"
	"net/url"
	"strconv"
	"testing"

	"github.com/stretchr/testify/require"
)

// View finds one message by the id that the client gave it.
func (p *Producer) View(t *testing.T, topic, id string) Received {
	t.Helper()
	found, err := p.query(url.Values{"topic": {topic}, "msg_id": {id}})
	require.NoError(t, err, "view message %s", id)
	require.Len(t, found, 1)
	return found[0]
}

// Query finds the messages with a key that were stored or due within a range of
// time, in ms.
func (p *Producer) Query(topic, key string, from, to int64) ([]Received, error) {
	return p.query(url.Values{
		"topic": {topic}, "key": {key}, "from": {strconv.FormatInt(from, 10)}, "to": {strconv.FormatInt(to, 10)},
	})
}

func (p *Producer) query(fields url.Values) ([]Received, error) {
	fields.Set("producer", p.name)
	answer, err := p.client.call("query", fields)
	if err != nil {
		return nil, err
	}
	var found []Received
	for i := range number(answer, "count") {
		record, err := url.ParseQuery(answer.Get(fmt.Sprintf("message.%d", i)))
		if err != nil {
			return nil, err
		}
		found = append(found, received(record))
	}
	return found, nil
}

// Recall cancels a message that waits. The error is a *ClientError when the client
// threw.
func (p *Producer) Recall(sent Sent) (id string, err error) {
	answer, err := p.client.call("recall", url.Values{"producer": {p.name}, "topic": {sent.Topic}, "handle": {sent.Handle}})
	return answer.Get("msg_id"), err
}
