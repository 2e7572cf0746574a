package tools

import (
	"context"
	"fmt"
	"math"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/client"
)

// tailing is what tail was told.
type tailing struct {
	showing
	from string
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
	s.flags(e, cmd, "only messages with one of these tags: 'a || b'")
	cmd.Flags().StringVar(&s.from, "from", "now", "`time` at which to begin, or begin for all that is kept")
	return cmd
}

func (s *tailing) run(ctx context.Context, topic string) error {
	start, err := s.start()
	if err != nil {
		return err
	}
	return s.show(ctx, topic, &reader{group: toolsGroup, start: start}, fmt.Sprintf("no message of topic %s became visible since %s", topic, s.from))
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
