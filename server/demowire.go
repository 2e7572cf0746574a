package server

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

// demoWire makes the few requests of the demonstration: the same that a stock
// producer and a stock consumer make.
type demoWire struct {
	client   *remoting.Client
	clientID string
}

// demoMessage is what the demonstration wants to know of a received message.
type demoMessage struct {
	owner string // id of the demonstration that scheduled it
	text  string
	dueMs int64
}

// refusal is an answer with another code than success.
type refusal struct {
	code   int32
	remark string
}

func (r *refusal) Error() string { return fmt.Sprintf("code %d: %s", r.code, r.remark) }

// demoOwner is the user property that carries demoMessage.owner.
const demoOwner = "demo"

// Bits of a pull request's sysFlag.
const (
	pullMayWait      = 1 << 1 // hold the request until there is a message
	pullSubscription = 1 << 2 // the subscription stands in the request
)

// pullWait is how long the broker may hold a pull; invokeTimeout must exceed it.
const (
	pullWait      = 15 * time.Second
	invokeTimeout = 25 * time.Second
)

func field(key, value string) remoting.Field { return remoting.Field{Key: key, Value: value} }

func number(key string, v int64) remoting.Field { return field(key, strconv.FormatInt(v, 10)) }

// heartbeat makes the connection a member of the consumer group.
func (w *demoWire) heartbeat(ctx context.Context) error {
	type m = map[string]any
	body, err := json.Marshal(m{
		"clientID":        w.clientID,
		"producerDataSet": []m{{"groupName": demoGroup}},
		"consumerDataSet": []m{{
			"groupName": demoGroup, "consumeType": "CONSUME_ACTIVELY", "messageModel": "BROADCASTING",
			"consumeFromWhere":    "CONSUME_FROM_LAST_OFFSET",
			"subscriptionDataSet": []m{{"topic": demoTopic, "subString": "*", "expressionType": "TAG", "subVersion": time.Now().UnixMilli()}},
		}},
	})
	if err != nil {
		return err
	}
	_, err = w.ask(ctx, remoting.ReqHeartBeat, body)
	return err
}

// send schedules text for dueMs. The field names are the short ones of SEND_MESSAGE_V2.
func (w *demoWire) send(ctx context.Context, dueMs int64, owner, text string) error {
	props := message.AppendProperty(nil, message.PropTimerDeliverMs, strconv.FormatInt(dueMs, 10))
	props = message.AppendProperty(props, message.PropKeys, text)
	props = message.AppendProperty(props, demoOwner, owner)
	_, err := w.ask(ctx, remoting.ReqSendMessageV2, []byte(text),
		field("a", demoGroup), field("b", demoTopic), field("c", "TBW102"), number("d", 1), number("e", 0),
		number("f", 0), number("g", time.Now().UnixMilli()), number("h", 0), field("i", string(props)),
		number("j", 0), field("k", "false"), number("l", 16), field("m", "false"))
	return err
}

// queueEnd returns the slot that the next message to fire gets.
func (w *demoWire) queueEnd(ctx context.Context) (int64, error) {
	r, err := w.ask(ctx, remoting.ReqGetMaxOffset, nil, field("topic", demoTopic), number("queueId", 0))
	if err != nil {
		return 0, err
	}
	return r.Int64("offset")
}

// pull returns the messages from slot from on and where to go on. It waits at
// the broker for pullWait when there are none.
func (w *demoWire) pull(ctx context.Context, from int64) (found []demoMessage, next int64, err error) {
	r, err := w.invoke(ctx, remoting.ReqPullMessage, nil,
		field("consumerGroup", demoGroup), field("topic", demoTopic), number("queueId", 0), number("queueOffset", from),
		number("maxMsgNums", 32), number("sysFlag", pullMayWait|pullSubscription), number("commitOffset", 0),
		number("suspendTimeoutMillis", pullWait.Milliseconds()), field("subscription", "*"),
		number("subVersion", 0), field("expressionType", "TAG"))
	if err != nil {
		return nil, 0, err
	}
	switch r.Code {
	case remoting.RespSuccess, remoting.RespPullNotFound, remoting.RespPullRetryImmediately, remoting.RespPullOffsetMoved:
	default:
		return nil, 0, refused(r)
	}
	if next, err = r.Int64("nextBeginOffset"); err != nil {
		return nil, 0, err
	}
	if r.Code == remoting.RespSuccess {
		found, err = parsePulled(r.Body)
	}
	return found, next, err
}

// parsePulled reads the messages of a pull's body.
func parsePulled(body []byte) ([]demoMessage, error) {
	var found []demoMessage
	for len(body) > 0 {
		one, rest, err := message.Split(body)
		if err != nil {
			return nil, err
		}
		var m message.Message
		if err := message.Decode(one, &m); err != nil {
			return nil, err
		}
		due, _ := strconv.ParseInt(message.Get(m.Properties, message.PropTimerDeliverMs), 10, 64)
		found = append(found, demoMessage{owner: strings.Clone(message.Get(m.Properties, demoOwner)), text: string(m.Body), dueMs: due})
		body = rest
	}
	return found, nil
}

// ask is invoke for requests where everything but success is a refusal.
func (w *demoWire) ask(ctx context.Context, code int32, body []byte, ext ...remoting.Field) (*remoting.Command, error) {
	r, err := w.invoke(ctx, code, body, ext...)
	if err == nil && r.Code != remoting.RespSuccess {
		err = refused(r)
	}
	return r, err
}

func (w *demoWire) invoke(ctx context.Context, code int32, body []byte, ext ...remoting.Field) (*remoting.Command, error) {
	ctx, cancel := context.WithTimeout(ctx, invokeTimeout)
	defer cancel()
	c := remoting.NewRequest(code, ext...)
	c.Body = body
	return w.client.Invoke(ctx, c)
}

func refused(r *remoting.Command) error {
	return &refusal{code: r.Code, remark: strings.Clone(r.Remark)}
}
