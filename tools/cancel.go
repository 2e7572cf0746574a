package tools

import (
	"context"
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
	"github.com/duelog/duelog/server/remoting"
)

// cancelling is what cancel was told.
type cancelling struct {
	*cluster
	topic string
	table *table
	left  int // messages that are not cancelled
}

func cancelCommand(e *env) *cobra.Command {
	var s cancelling
	cmd := &cobra.Command{
		Use:     "cancel ID|HANDLE...",
		Aliases: []string{"recall"},
		Short:   "Take messages back that wait for their time",
		Long: `Take messages back before they are delivered. A message is named by its id, as schedule, find
and pending --list show it, together with its --topic; or by the recall handle that the
answer to its send had, which says topic, broker and time itself. An id under which
several messages wait, because the producer has sent again, takes all of them back.

The column result says what became of each: "cancelled" means that it never comes, also if
it was cancelled before by its handle; "delivered" that it has come; "unscheduled" that it
was sent for at once; "unknown" that the broker has no such message: it was cancelled
before, never stored, or is past its retention. The exit code is 1 unless all are cancelled.

A broker of Apache RocketMQ does not find messages that wait by their id, so it takes
handles only, and says "cancelled" whether there is one or not. This verb writes.`,
		Example: `  duelogctl cancel --topic orders 7F0000013653538FA48D7D3CF9BA0000
  duelogctl cancel djEgVDIgYnJva2VyLWEgMTc5NTQwNjUxNTAwMSBSMQ==`,
		Args: atLeastOne("ID|HANDLE"),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd.Context(), args) },
	}
	s.cluster = newCluster(e, cmd)
	cmd.Flags().StringVar(&s.topic, "topic", "", "`topic` of the messages that are named by their id")
	return cmd
}

// atLeastOne is a cobra.PositionalArgs that asks for the named argument, and takes more.
func atLeastOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		return arguments(name)(cmd, args[:min(len(args), 1)])
	}
}

func (s *cancelling) run(ctx context.Context, args []string) error {
	var list []named
	for _, arg := range args {
		n, err := parseNamed(arg, s.topic)
		if err != nil {
			return err
		}
		list = append(list, n)
	}
	s.table = s.e.table("id", "topic", "broker", "due", "result", "detail")
	err := s.with(func(cl *client.Client) error {
		for i := range list {
			if err := s.one(ctx, cl, &list[i]); err != nil {
				return fmt.Errorf("cancel %s: %w", list[i].id, err)
			}
		}
		return nil
	})
	if err = endRows(s.table, err); err != nil {
		return err
	}
	if s.left > 0 {
		s.e.note("%d of what was named could not be cancelled; what waits: duelogctl pending --list", s.left)
		return errFindings
	}
	return nil
}

// one cancels what n names.
func (s *cancelling) one(ctx context.Context, cl *client.Client, n *named) error {
	if n.handle != nil {
		return s.byHandle(ctx, cl, n)
	}
	found, err := lookUp(ctx, cl, n)
	if err != nil {
		return err
	}
	waiting := map[message.RecallHandle]bool{}
	for i := range found {
		h := found[i].handle()
		if found[i].state != stateWaiting || waiting[*h] {
			continue
		}
		waiting[*h] = true
		if err := s.recall(ctx, cl, found[i].broker, h); err != nil {
			return err
		}
	}
	if len(waiting) == 0 {
		s.notWaiting(n, found)
	}
	return nil
}

// byHandle asks the broker that the handle names, which knows best.
func (s *cancelling) byHandle(ctx context.Context, cl *client.Client, n *named) error {
	brokers, err := brokersOf(ctx, cl, n.topic)
	if err != nil {
		return err
	}
	var names []string
	for _, b := range brokers {
		if b.Name == n.handle.Broker {
			return s.recall(ctx, cl, b, n.handle)
		}
		names = append(names, b.Name)
	}
	return hint(usagef("its handle is of broker %s, and topic %s is at %s", n.handle.Broker, n.topic, strings.Join(names, ", ")),
		"name the cluster that gave the handle out with --namesrv HOST:PORT")
}

// recall sends the recall and tells how it ended.
func (s *cancelling) recall(ctx context.Context, cl *client.Client, b client.Broker, h *message.RecallHandle) error {
	err := cl.Recall(ctx, b.Addr, h)
	var result state
	var detail any
	switch {
	case err == nil:
		result = "cancelled"
	case isTooLate(err):
		result, detail = stateDelivered, "its time has come"
	case client.IsRefused(err, remoting.RespQueryNotFound):
		result, detail = stateUnknown, "the broker has none with this id and time"
	default:
		return explainRecall(err)
	}
	if result != "cancelled" {
		s.left++
	}
	s.table.row(h.ID, h.Topic, b.Name, ms(h.DueMs), string(result), detail)
	return nil
}

// isTooLate tells that a recall came too late from the other reasons why one is refused.
func isTooLate(err error) bool {
	return client.IsRefused(err, remoting.RespIllegalOperation) && strings.Contains(err.Error(), "too late")
}

// explainRecall adds the next step to a recall that was refused.
func explainRecall(err error) error {
	switch {
	case client.IsRefused(err, remoting.RespNoPermission):
		return hint(err, "the broker recalls by its key index: set key-index to true and start it again")
	case client.IsRefused(err, remoting.RespIllegalOperation):
		return hint(err, "take the handle as the answer to the send had it; or name the message by its id and --topic")
	}
	return err
}

// notWaiting tells what the messages are that n names, of which none waits.
func (s *cancelling) notWaiting(n *named, found []foundAt) {
	s.left++
	w := whyNot(found)
	s.table.row(n.id, n.topic, w.broker, w.due, string(w.state), w.detail)
}
