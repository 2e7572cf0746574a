package main

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
)

func (d *driver) produce(c url.Values) (url.Values, error) {
	options := []producer.Option{
		producer.WithGroupName(c.Get("group")),
		producer.WithInstanceName(c.Get("instance")),
		producer.WithNameServer(d.nameServer),
	}
	if c.Get("sharded") != "" {
		options = append(options, producer.WithQueueSelector(producer.NewHashQueueSelector()))
	}
	if c.Get("transactional") != "" {
		p, err := rocketmq.NewTransactionProducer(verdicts{}, options...)
		if err != nil {
			return nil, err
		}
		return d.start(c.Get("name"), p)
	}
	p, err := rocketmq.NewProducer(options...)
	if err != nil {
		return nil, err
	}
	return d.start(c.Get("name"), p)
}

func (d *driver) send(c url.Values) (url.Values, error) {
	began := time.Now().UnixMilli()
	sent, err := dispatch(d.find(c.Get("producer")), c)
	if err != nil {
		return nil, err
	}
	r := url.Values{"began": {millis(began)}, "ended": {millis(time.Now().UnixMilli())}}
	if sent != nil {
		r.Set("status", "SEND_"+statusName(sent.Status))
		r.Set("msg_id", sent.MsgID)
		r.Set("queue", strconv.Itoa(sent.MessageQueue.QueueId))
		r.Set("offset", strconv.FormatInt(sent.QueueOffset, 10))
	}
	return r, nil
}

// dispatch sends as the command's mode says; a nil result means the mode has
// none.
func dispatch(by client, c url.Values) (*primitive.SendResult, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	msgs, err := messages(c)
	if err != nil {
		return nil, err
	}
	if tx, ok := by.(rocketmq.TransactionProducer); ok && c.Get("mode") == "transaction" {
		sent, err := tx.SendMessageInTransaction(ctx, msgs[0])
		if err != nil {
			return nil, err
		}
		return sent.SendResult, nil
	}
	p, ok := by.(rocketmq.Producer)
	if !ok {
		return nil, fmt.Errorf("no producer %q", c.Get("producer"))
	}
	switch c.Get("mode") {
	case "sync", "batch":
		return p.SendSync(ctx, msgs...)
	case "async":
		return sendAsync(ctx, p, msgs[0])
	case "oneway":
		return nil, p.SendOneWay(ctx, msgs...)
	}
	return nil, fmt.Errorf("unknown mode %q", c.Get("mode"))
}

func sendAsync(ctx context.Context, p rocketmq.Producer, m *primitive.Message) (*primitive.SendResult, error) {
	type outcome struct {
		sent *primitive.SendResult
		err  error
	}
	done := make(chan outcome, 2) // the client calls twice when the connection broke
	err := p.SendAsync(ctx, func(_ context.Context, sent *primitive.SendResult, err error) {
		done <- outcome{sent, err}
	}, m)
	if err != nil {
		return nil, err
	}
	select {
	case o := <-done:
		return o.sent, o.err
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// messages builds the messages of a command: one, or as many as a batch has,
// whose bodies end with their number.
func messages(c url.Values) ([]*primitive.Message, error) {
	body, err := base64.StdEncoding.DecodeString(c.Get("body"))
	if err != nil {
		return nil, err
	}
	if c.Get("mode") != "batch" {
		return []*primitive.Message{message(c, body)}, nil
	}
	n, err := strconv.Atoi(c.Get("count"))
	if err != nil {
		return nil, err
	}
	var ms []*primitive.Message
	for i := range n {
		ms = append(ms, message(c, []byte(string(body)+strconv.Itoa(i))))
	}
	return ms, nil
}

func message(c url.Values, body []byte) *primitive.Message {
	m := primitive.NewMessage(c.Get("topic"), body)
	if tags := c.Get("tags"); tags != "" {
		m.WithTag(tags)
	}
	if keys := c.Get("keys"); keys != "" {
		m.WithKeys(strings.Fields(keys))
	}
	if shard := c.Get("shard"); shard != "" {
		m.WithShardingKey(shard)
	}
	for k := range c {
		if name, ok := strings.CutPrefix(k, "prop."); ok {
			m.WithProperty(name, c.Get(k))
		}
	}
	switch delay := c.Get("delay"); delay {
	case "":
	case "DELAY":
		level, _ := strconv.Atoi(c.Get("value"))
		m.WithDelayTimeLevel(level)
	default: // this version of the client has no setter for the others
		m.WithProperty(delay, c.Get("value"))
	}
	return m
}

func statusName(s primitive.SendStatus) string {
	if s == primitive.SendOK {
		return "OK"
	}
	return strconv.Itoa(int(s))
}

func millis(ms int64) string { return strconv.FormatInt(ms, 10) }

// verdicts is the outcome of transactions. It stands in the message: at once
// in the property verdict, and when the broker asks again in checked.
type verdicts struct{}

func (verdicts) ExecuteLocalTransaction(m *primitive.Message) primitive.LocalTransactionState {
	return verdict(m.GetProperty("verdict"))
}

func (verdicts) CheckLocalTransaction(m *primitive.MessageExt) primitive.LocalTransactionState {
	return verdict(m.GetProperty("checked"))
}

func verdict(name string) primitive.LocalTransactionState {
	switch name {
	case "COMMIT_MESSAGE":
		return primitive.CommitMessageState
	case "ROLLBACK_MESSAGE":
		return primitive.RollbackMessageState
	}
	return primitive.UnknowState
}
