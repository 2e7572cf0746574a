package tools

import (
	"context"
	"math"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
)

// tailing is what tail was told.
type tailing struct {
	*cluster
	from   string
	tags   string
	body   string
	max    int
	follow bool
}

func tailCommand(e *env) *cobra.Command {
	var s tailing
	cmd := &cobra.Command{
		Use:   "tail TOPIC",
		Short: "Show messages as they become visible, without a group",
		Long: `Show the messages of a topic as consumers get them, from now on or from an earlier time. It
belongs to no consumer group and moves no offset, so it takes nothing away from anybody.

"late" is how long after its time a message became visible.`,
		Example: `  duelogctl tail orders
  duelogctl tail orders --from -10m --follow=false -o jsonl`,
		Args: arguments("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return stopped(cmd.Context(), s.follow, s.run(cmd.Context(), args[0]))
		},
	}
	s.cluster = newCluster(e, cmd)
	f := cmd.Flags()
	f.StringVar(&s.from, "from", "now", "`time` at which to begin, or begin for all that is kept")
	f.StringVar(&s.tags, "tags", "", "only messages with one of these tags: 'a || b'")
	f.IntVar(&s.max, "max", 0, "stop after so many messages; 0 is never")
	f.BoolVar(&s.follow, "follow", true, "wait for more at the end")
	bodyFlag(cmd, &s.body)
	return cmd
}

func (s *tailing) run(ctx context.Context, topic string) error {
	start, err := s.start()
	if err != nil {
		return err
	}
	if err := checkBody(s.body); err != nil {
		return err
	}
	return s.with(func(cl *client.Client) error {
		route, err := cl.Route(ctx, topic)
		if err != nil {
			return err
		}
		rows := newMessageRows(s.e, s.body)
		left := s.max
		f := following{
			e: s.e, cl: cl, group: toolsGroup, tags: s.tags, follow: s.follow,
			start: func(ctx context.Context, q client.Queue) (int64, error) { return start(ctx, cl, q) },
			take: func(_ context.Context, q client.Queue, ms []message.Message) (bool, error) {
				for i := range ms {
					rows.put(q, &ms[i])
					if left--; left == 0 {
						return true, nil
					}
				}
				rows.flush()
				return false, s.e.out.bad
			},
		}
		rows.orSay("no message of topic %s became visible since %s", topic, s.from)
		return endRows(rows.table, f.run(ctx, route.Read))
	})
}

// endRows ends a table also when what filled it was cut short.
func endRows(t *table, err error) error {
	if err != nil {
		t.none = "" // it is not known
	}
	if cerr := t.close(); err == nil {
		err = cerr
	}
	return err
}

// start returns where a queue begins for --from.
func (s *tailing) start() (func(context.Context, *client.Client, client.Queue) (int64, error), error) {
	switch s.from {
	case "now":
		return func(ctx context.Context, cl *client.Client, q client.Queue) (int64, error) {
			return cl.MaxOffset(ctx, q)
		}, nil
	case "begin":
		return func(ctx context.Context, cl *client.Client, q client.Queue) (int64, error) {
			return cl.MinOffset(ctx, q)
		}, nil
	}
	t, err := parseWhen(s.from, s.e.now())
	if err != nil {
		return nil, err
	}
	at := min(t.UnixMilli(), math.MaxInt64-1)
	return func(ctx context.Context, cl *client.Client, q client.Queue) (int64, error) {
		return cl.OffsetAt(ctx, q, at)
	}, nil
}
