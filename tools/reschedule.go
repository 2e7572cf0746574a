package tools

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
)

// rescheduling is what reschedule was told.
type rescheduling struct {
	*cluster
	topic string
	due   *dueTime
}

func rescheduleCommand(e *env) *cobra.Command {
	var s rescheduling
	cmd := &cobra.Command{
		Use:   "reschedule ID|HANDLE",
		Short: "Deliver a message that waits at another time",
		Long: `Give a message that waits another time: store it anew for that time, at the same broker and in
the same queue, with the same id, body, tags, keys and properties; then take the old one
back. The message is named as for cancel.

It is stored anew first. If the old one is delivered in between, or this verb is stopped,
the message comes twice, under the same id; it is never lost. The column result says
"rescheduled", "twice" if the old one could not be taken back any more, or why the message
does not wait, as for cancel (exit code 1 for all but the first).

` + dueHelp + `

It needs a duelog broker. This verb writes.`,
		Example: `  duelogctl reschedule --topic orders 7F0000013653538FA48D7D3CF9BA0000 --at 'tomorrow 09:00'
  duelogctl reschedule --topic orders MY-ID --in 2h30m`,
		Args: arguments("ID|HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd.Context(), args[0]) },
	}
	s.cluster = newCluster(e, cmd)
	s.due = newDueTime(cmd)
	cmd.Flags().StringVar(&s.topic, "topic", "", "`topic` of a message that is named by its id")
	return cmd
}

func (s *rescheduling) run(ctx context.Context, arg string) error {
	now := s.e.now()
	due, _, _, err := s.due.when(now)
	if err != nil {
		return err
	}
	n, err := parseNamed(arg, s.topic)
	if err != nil {
		return err
	}
	t := s.e.table("id", "topic", "broker", "queue", "due", "in", "was_due", "result", "detail")
	err = s.with(func(cl *client.Client) error {
		old, why, err := s.waiting(ctx, cl, &n)
		switch {
		case err != nil:
			return err
		case old == nil:
			t.row(n.id, n.topic, why.broker, nil, nil, nil, why.due, string(why.state), why.detail)
			return errFindings
		}
		if s.due.in != "" { // counts by the broker's clock
			if due, err = atBroker(ctx, cl, old.broker.Addr, due.Sub(now)); err != nil {
				return err
			}
		}
		return s.move(ctx, cl, t, old, due)
	})
	return endRows(t, err)
}

// waiting is the one message that n names, or else why there is none.
func (s *rescheduling) waiting(ctx context.Context, cl *client.Client, n *named) (one *foundAt, why notWaiting, err error) {
	found, err := lookUp(ctx, cl, n)
	if err != nil {
		return nil, why, err
	}
	for i := range found {
		f := &found[i]
		if f.state != stateWaiting {
			continue
		}
		if one != nil && *one.handle() != *f.handle() {
			return nil, why, hint(usagef("several messages with the id %s wait, due at %s and %s", n.id, plainText(one.due), plainText(f.due)),
				"take one back first: duelogctl cancel %s", message.AppendRecallHandle(nil, f.handle()))
		}
		one = f
	}
	return one, whyNot(found), nil
}

// atBroker is the time after a while, by a broker's clock.
func atBroker(ctx context.Context, cl *client.Client, addr string, after time.Duration) (time.Time, error) {
	counts, err := cl.PendingCounts(ctx, addr, &client.PendingQuery{StepMs: 1, Ranges: 1})
	if err != nil {
		return time.Time{}, err
	}
	return time.UnixMilli(counts.NowMs).Add(after), nil
}

// move stores old anew and takes it back then.
func (s *rescheduling) move(ctx context.Context, cl *client.Client, t *table, old *foundAt, due time.Time) error {
	h := old.handle()
	if due.UnixMilli() == h.DueMs {
		return hint(usagef("message %s is due at %s already", h.ID, plainText(due)), "give another time")
	}
	if err := storeAnew(ctx, cl, old, due); err != nil {
		return fmt.Errorf("store message %s for its new time: %w", h.ID, err)
	}
	row := func(result string, detail any) {
		t.row(h.ID, h.Topic, old.broker.Name, old.msg.QueueID, due, due.Sub(s.e.now()).Round(time.Millisecond), old.due, result, detail)
	}
	switch err := cl.Recall(ctx, old.broker.Addr, h); {
	case err == nil:
		row("rescheduled", nil)
		return nil
	case isTooLate(err):
		row("twice", "its old time has come, so it comes at both")
		return errFindings
	default:
		return hint(fmt.Errorf("message %s waits for %s now, and for its old time %s too: %w", h.ID, plainText(due), plainText(old.due), err),
			"take the old one back: duelogctl cancel %s", message.AppendRecallHandle(nil, h))
	}
}

// storeAnew stores a message at its broker for another time.
func storeAnew(ctx context.Context, cl *client.Client, old *foundAt, due time.Time) error {
	m := old.msg
	m.Properties = message.Set(message.Delete(m.Properties, message.PropDelayLevel, message.PropTimerDelaySec, message.PropTimerDelayMs, message.PropStartDeliver),
		message.PropTimerDeliverMs, strconv.FormatInt(due.UnixMilli(), 10))
	record, err := message.Append(nil, &m)
	if err != nil {
		return err
	}
	res, err := cl.Import(ctx, old.broker.Addr, message.AppendEnvelope(nil, &message.Envelope{
		FireMs: due.UnixMilli(), BodySize: int32(len(m.Body)), Record: record,
	}), false)
	switch {
	case err != nil:
		return err
	case len(res.Refused) > 0:
		return hint(errors.New(res.Refused[0].Reason), "nothing has changed; the limit max-delay is a setting: duelogd --print-config")
	}
	return nil
}
