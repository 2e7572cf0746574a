package tools

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/client"
)

// consuming is what consume was told.
type consuming struct {
	showing
	group string
	force bool
}

func consumeCommand(e *env) *cobra.Command {
	var s consuming
	cmd := &cobra.Command{
		Use:   "consume TOPIC --group GROUP",
		Short: "Take messages for a group and acknowledge them",
		Long: `Show the messages that a consumer group has not acknowledged yet and acknowledge each when
it is shown. This verb writes: it moves the group's offsets, and what it has shown its
consumers do not get any more.

It does not share the queues with other members of the group, so it refuses to begin while
the group has some, unless --force is given; then messages may be seen by both.`,
		Example: `  duelogctl consume orders --group audit --max 10
  duelogctl consume orders --group audit --follow=false -o jsonl`,
		Args: arguments("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return stopped(cmd.Context(), s.follow, s.run(cmd.Context(), args[0]))
		},
	}
	s.flags(e, cmd, "only messages with one of these tags; the others are acknowledged too, as consumers do")
	cmd.Flags().StringVar(&s.group, "group", "", "consumer `group` whose offsets are moved")
	cmd.Flags().BoolVar(&s.force, "force", false, "begin although the group has members")
	return cmd
}

func (s *consuming) run(ctx context.Context, topic string) error {
	if s.group == "" {
		return usagef("consume: --group is missing")
	}
	r := &reader{group: s.group, may: s.checkAlone, start: s.start, shown: s.acknowledge}
	return s.show(ctx, topic, r, fmt.Sprintf("group %s has no message left in topic %s", s.group, topic))
}

// acknowledge commits, unless what it is about could not be printed.
func (s *consuming) acknowledge(ctx context.Context, cl *client.Client, q client.Queue, next int64) error {
	if err := s.e.out.err(); err != nil {
		return err
	}
	return cl.Commit(ctx, s.group, q, next)
}

// checkAlone refuses to take messages away from members of the group.
func (s *consuming) checkAlone(ctx context.Context, cl *client.Client, queues []client.Queue) error {
	asked := map[string]bool{}
	for _, q := range queues {
		if asked[q.Addr] || s.force {
			continue
		}
		asked[q.Addr] = true
		members, err := cl.Members(ctx, q.Addr, s.group)
		if err != nil {
			return err
		}
		if len(members) > 0 {
			return hint(usagef("group %s has %d members that consume it, the first is %s", s.group, len(members), members[0]),
				"look without taking anything away: duelogctl tail %s; or take all the same: --force", q.Topic)
		}
	}
	return nil
}

// start is where the group is; one that is new begins with the oldest message.
func (s *consuming) start(ctx context.Context, cl *client.Client, q client.Queue) (int64, error) {
	offset, ok, err := cl.Committed(ctx, s.group, q)
	if err != nil || ok {
		return offset, err
	}
	return cl.MinOffset(ctx, q)
}
