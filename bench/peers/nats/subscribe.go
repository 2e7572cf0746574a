package nats

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/duelog/duelog/bench/peers/consume"
)

const (
	consumers     = 2
	maxAckPending = 20000
	pullSize      = 500 // messages asked for at once; two requests are open
)

// Subscribe implements bench.System.
func (s *System) Subscribe(ctx context.Context, deliver func([]byte, time.Time)) (func(), error) {
	return s.SubscribeGroup(ctx, "bench", deliver)
}

// SubscribeGroup implements bench.Grouper. A group is a durable consumer.
func (s *System) SubscribeGroup(
	ctx context.Context, group string, deliver func([]byte, time.Time),
) (func(), error) {
	var created struct{}
	err := s.request(ctx, "$JS.API.CONSUMER.DURABLE.CREATE."+stream+"."+group, consumerRequest(map[string]any{
		"durable_name":    group,
		"ack_policy":      "explicit",
		"deliver_policy":  "all",
		"filter_subject":  subjectNow,
		"max_ack_pending": maxAckPending,
	}), &created)
	if err != nil {
		return nil, fmt.Errorf("subscribe: %w", err)
	}
	dialOne := func(ctx context.Context) (*conn, error) { return dial(ctx, s.port) }
	return consume.Run(ctx, &s.consumers, consumers, dialOne, func(ctx context.Context, i int, c *conn) error {
		return c.pull(ctx, group, fmt.Sprintf("_INBOX.c%d", i), deliver)
	})
}

func consumerRequest(config map[string]any) map[string]any {
	return map[string]any{"stream_name": stream, "config": config}
}

// pull asks for messages, and for more when half of them have come.
func (c *conn) pull(ctx context.Context, group, inbox string, deliver func([]byte, time.Time)) error {
	wake := context.AfterFunc(ctx, func() { _ = c.nc.SetReadDeadline(time.Now()) })
	defer wake()
	ask := func() {
		c.publish("$JS.API.CONSUMER.MSG.NEXT."+stream+"."+group, inbox, "", fmt.Appendf(nil, `{"batch":%d}`, pullSize))
	}
	if err := c.write(false, "SUB ", inbox, " 1\r\n"); err != nil {
		return err
	}
	ask()
	ask()
	for got := 0; ; {
		// What is read next may take its time, so the acknowledgements go first.
		if c.r.Buffered() == 0 {
			if err := c.write(true); err != nil {
				return err
			}
		}
		f, err := c.next()
		at := time.Now()
		if err != nil {
			return errors.Join(err, c.write(true))
		}
		if f.reply == "" {
			return fmt.Errorf("nats: the request for messages ended: %s", strings.TrimSpace(string(f.header)))
		}
		deliver(f.payload, at)
		c.publish(f.reply, "", "", nil)
		if got++; got%pullSize == 0 {
			ask()
		}
	}
}
