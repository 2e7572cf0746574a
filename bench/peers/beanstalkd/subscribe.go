package beanstalkd

import (
	"context"
	"time"

	"github.com/duelog/duelog/bench/peers/consume"
)

// consumers is the number of connections that reserve.
const consumers = 16

// Subscribe implements bench.System.
func (s *System) Subscribe(ctx context.Context, deliver func([]byte, time.Time)) (func(), error) {
	dialOne := func(ctx context.Context) (*conn, error) { return dial(ctx, s.port) }
	return consume.Run(ctx, &s.consumers, consumers, dialOne, func(ctx context.Context, _ int, c *conn) error {
		return c.reserve(ctx, deliver)
	})
}

// reserve takes jobs until ctx ends, which it notices within a second.
func (c *conn) reserve(ctx context.Context, deliver func([]byte, time.Time)) error {
	done := "" // the job that was delivered last
	for ctx.Err() == nil {
		if err := c.send(done, "reserve-with-timeout 1\r\n"); err != nil {
			return err
		}
		done = ""
		job, err := c.readReply()
		at := time.Now()
		switch {
		case err != nil:
			return err
		case job.is("TIMED_OUT") || job.is("DEADLINE_SOON"):
			continue
		case !job.is("RESERVED") || len(job.words) != 3:
			return job.err()
		}
		deliver(job.body, at)
		done = job.words[1]
	}
	return c.send(done, "")
}

// send sends a command, and with it the deletion of the job done unless that is
// empty. It reads the reply to the deletion, but not that to the command.
func (c *conn) send(done, command string) error {
	if done != "" {
		command = "delete " + done + "\r\n" + command
	}
	if command == "" {
		return nil
	}
	if _, err := c.nc.Write([]byte(command)); err != nil || done == "" {
		return err
	}
	deleted, err := c.readReply()
	if err == nil && !deleted.is("DELETED") {
		err = deleted.err()
	}
	return err
}
