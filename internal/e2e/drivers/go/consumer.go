package main

import (
	"context"
	"encoding/base64"
	"net/url"
	"strconv"
	"time"

	"github.com/apache/rocketmq-client-go/v2"
	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
)

func (d *driver) consume(c url.Values) (url.Values, error) {
	ordered := c.Get("ordered") != ""
	fail, err := strconv.Atoi(c.Get("fail"))
	if err != nil {
		return nil, err
	}
	pc, err := rocketmq.NewPushConsumer(
		consumer.WithGroupName(c.Get("group")),
		consumer.WithInstance(c.Get("instance")),
		consumer.WithNameServer(d.nameServer),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
		consumer.WithConsumerOrder(ordered),
	)
	if err != nil {
		return nil, err
	}
	refusal := consumer.ConsumeRetryLater
	if ordered {
		refusal = consumer.SuspendCurrentQueueAMoment
	}
	name := c.Get("name")
	selector := consumer.MessageSelector{Type: consumer.TAG, Expression: c.Get("expression")}
	err = pc.Subscribe(c.Get("topic"), selector,
		func(_ context.Context, batch ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			if d.takeAll(name, batch, fail) {
				return consumer.ConsumeSuccess, nil
			}
			return refusal, nil
		})
	if err != nil {
		return nil, err
	}
	return d.start(name, pc)
}

// takeAll reports the messages; false while any of them is to be refused once
// more.
func (d *driver) takeAll(consumer string, batch []*primitive.MessageExt, fail int) bool {
	ok := true
	for _, m := range batch {
		d.say(event(consumer, m))
		ok = ok && int(m.ReconsumeTimes) >= fail
	}
	return ok
}

func event(consumer string, m *primitive.MessageExt) url.Values {
	r := url.Values{
		"consumer":   {consumer},
		"at":         {millis(time.Now().UnixMilli())},
		"topic":      {m.Topic},
		"msg_id":     {m.MsgId},
		"tags":       {m.GetTags()},
		"keys":       {m.GetKeys()},
		"body":       {base64.StdEncoding.EncodeToString(m.Body)},
		"offset":     {strconv.FormatInt(m.QueueOffset, 10)},
		"reconsumed": {strconv.Itoa(int(m.ReconsumeTimes))},
		"born":       {millis(m.BornTimestamp)},
		"stored":     {millis(m.StoreTimestamp)},
	}
	if m.Queue != nil {
		r.Set("queue", strconv.Itoa(m.Queue.QueueId))
	}
	for k, v := range m.GetProperties() {
		r.Set("prop."+k, v)
	}
	return r
}
