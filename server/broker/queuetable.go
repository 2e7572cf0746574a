package broker

import (
	"encoding/json"
	"fmt"
)

// RocketMQ's tools expect tables whose keys are queues as {{..}:{..},{..}:{..}},
// which is not JSON; the newest ones accept nothing else.

// queueName is a queue as a key of such a table.
type queueName struct {
	Broker string `json:"brokerName"`
	ID     int32  `json:"queueId"`
	Topic  string `json:"topic"`
}

// queueTable builds one.
type queueTable struct{ b []byte }

func (t *queueTable) add(key queueName, value any) {
	if len(t.b) == 0 {
		t.b = append(t.b, '{')
	} else {
		t.b = append(t.b, ',')
	}
	t.b = append(t.b, compact(key)...)
	t.b = append(t.b, ':')
	t.b = append(t.b, compact(value)...)
}

// bytes returns the table; an empty one is {}.
func (t *queueTable) bytes() []byte {
	if len(t.b) == 0 {
		return []byte("{}")
	}
	return append(t.b, '}')
}

// compact is v as JSON; v is one of the plain structs of this package.
func compact(v any) []byte {
	b, err := json.Marshal(v)
	if err != nil {
		panic(fmt.Sprintf("BUG: %T does not become JSON: %v", v, err))
	}
	return b
}
