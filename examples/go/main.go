// Command go-example schedules one message three seconds ahead and receives
// it, with the stock Apache RocketMQ client for Go.
package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strconv"
	"time"

	"github.com/apache/rocketmq-client-go/v2/consumer"
	"github.com/apache/rocketmq-client-go/v2/primitive"
	"github.com/apache/rocketmq-client-go/v2/producer"
	"github.com/apache/rocketmq-client-go/v2/rlog"
)

const topic = "go-example"

func main() {
	nameServer := "127.0.0.1:9876"
	if len(os.Args) > 1 {
		nameServer = os.Args[1]
	}
	rlog.SetLogLevel("error")
	if err := run(nameServer); err != nil {
		log.Fatal(err)
	}
}

// run sends the message first: that creates its topic, so the consumer finds
// it at once instead of at its next look, 30 seconds later.
func run(nameServer string) error {
	due := time.Now().Add(3 * time.Second)
	id, err := schedule(nameServer, due)
	if err != nil {
		return fmt.Errorf("schedule: %w", err)
	}
	return receive(nameServer, id, due)
}

func schedule(nameServer string, due time.Time) (id string, err error) {
	p, err := producer.NewDefaultProducer(
		producer.WithGroupName("go-example-producer"),
		producer.WithNameServer(primitive.NamesrvAddr{nameServer}),
	)
	if err != nil {
		return "", err
	}
	if err := p.Start(); err != nil {
		return "", err
	}
	defer p.Shutdown()

	msg := primitive.NewMessage(topic, []byte("close the unpaid order"))
	msg.WithTag("reminder")
	msg.WithKeys([]string{"order-42"})
	msg.WithProperty("TIMER_DELIVER_MS", strconv.FormatInt(due.UnixMilli(), 10))
	sent, err := p.SendSync(context.Background(), msg)
	if err != nil {
		return "", err
	}
	fmt.Println("scheduled", sent.MsgID)
	return sent.MsgID, nil
}

func receive(nameServer, id string, due time.Time) error {
	c, err := consumer.NewPushConsumer(
		consumer.WithGroupName("go-example-consumer"),
		consumer.WithNameServer(primitive.NamesrvAddr{nameServer}),
		consumer.WithConsumeFromWhere(consumer.ConsumeFromFirstOffset),
	)
	if err != nil {
		return err
	}
	received := make(chan struct{}, 1)
	err = c.Subscribe(topic, consumer.MessageSelector{Type: consumer.TAG, Expression: "reminder"},
		func(_ context.Context, batch ...*primitive.MessageExt) (consumer.ConsumeResult, error) {
			for _, m := range batch {
				if m.MsgId != id {
					continue // left over from an earlier run
				}
				fmt.Printf("received %s %d ms after its time: %s\n", m.MsgId, time.Since(due).Milliseconds(), m.Body)
				received <- struct{}{}
			}
			return consumer.ConsumeSuccess, nil
		})
	if err != nil {
		return err
	}
	if err := c.Start(); err != nil {
		return err
	}
	defer c.Shutdown()

	select {
	case <-received:
		return nil
	case <-time.After(30 * time.Second):
		return errors.New("nothing came")
	}
}
