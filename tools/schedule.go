package tools

import (
	"context"
	"io"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
)

// toolsGroup is the group that the verbs send and pull as; it exists everywhere.
const toolsGroup = "TOOLS_CONSUMER"

// scheduling is what schedule was told.
type scheduling struct {
	*cluster
	due   *dueTime
	file  string
	tag   string
	id    string
	keys  []string
	props []string
	queue int32
}

func scheduleCommand(e *env) *cobra.Command {
	var s scheduling
	cmd := &cobra.Command{
		Use:   "schedule TOPIC [BODY]",
		Short: "Send a message that is delivered later",
		Long: `Send BODY to TOPIC, to be delivered at a time or after a while. Without BODY it is read from
--file, and from standard input when that is -.

` + dueHelp + `

The topic is created when the broker may do that by itself. This verb writes.`,
		Example: `  duelogctl schedule orders 'close the order' --in 30s --key order-42
  duelogctl schedule orders --file order.json --at 'tomorrow 09:00' --tag reminder`,
		Args: between("TOPIC", "BODY"),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd.Context(), args) },
	}
	s.cluster = newCluster(e, cmd)
	s.due = newDueTime(cmd)
	f := cmd.Flags()
	f.StringVar(&s.file, "file", "", "`path` of the body, - for standard input")
	f.StringVar(&s.tag, "tag", "", "tag by which consumers filter")
	f.StringVar(&s.id, "id", "", "id of the message; the broker makes one otherwise")
	f.StringArrayVar(&s.keys, "key", nil, "key by which it is found; may be repeated")
	f.StringArrayVar(&s.props, "property", nil, "`NAME=VALUE` for the consumer; may be repeated")
	f.Int32Var(&s.queue, "queue", -1, "number of the queue; -1 lets the broker choose")
	return cmd
}

// between is a cobra.PositionalArgs that asks for one argument and takes a second.
func between(first, second string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 2 {
			return nil
		}
		return arguments(first)(cmd, args[:min(len(args), 3)])
	}
}

func (s *scheduling) run(ctx context.Context, args []string) error {
	now := s.e.now()
	due, name, value, err := s.due.when(now)
	if err != nil {
		return err
	}
	body, err := s.body(args)
	if err != nil {
		return err
	}
	props, err := s.properties(name, value)
	if err != nil {
		return err
	}
	return s.with(func(cl *client.Client) error {
		sent, err := cl.Send(ctx, &client.Outgoing{Topic: args[0], Queue: s.queue, Body: body, Properties: props, Group: toolsGroup})
		if err != nil {
			return err
		}
		in := due.Sub(now).Round(time.Millisecond)
		if h, ok := message.ParseRecallHandle(sent.Recall); ok {
			due = time.UnixMilli(h.DueMs) // by the broker's clock
		}
		t := s.e.table("id", "topic", "broker", "queue", "due", "in", "offset_id")
		t.row(sent.ID, args[0], sent.Broker, sent.Queue, due, in, sent.OffsetID)
		return t.close()
	})
}

func (s *scheduling) body(args []string) ([]byte, error) {
	switch {
	case len(args) == 2 && s.file != "":
		return nil, usagef("schedule: give BODY or --file, not both")
	case len(args) == 2:
		return []byte(args[1]), nil
	case s.file == "-":
		return io.ReadAll(s.e.In)
	case s.file != "":
		return os.ReadFile(s.file)
	}
	return nil, usagef("schedule: BODY is missing; give it behind the topic or with --file")
}

// properties are those of the message; the last tells the broker when it is due.
func (s *scheduling) properties(when, value string) (string, error) {
	var b []byte
	for _, p := range s.props {
		name, value, ok := strings.Cut(p, "=")
		added := message.AppendProperty(b, name, value)
		if !ok || len(added) == len(b) {
			return "", usagef("--property %q: write it as NAME=VALUE, neither empty", p)
		}
		b = added
	}
	b = message.AppendProperty(b, message.PropUniqKey, s.id)
	b = message.AppendProperty(b, message.PropTags, s.tag)
	b = message.AppendProperty(b, message.PropKeys, strings.Join(s.keys, " "))
	return string(message.AppendProperty(b, when, value)), nil
}
