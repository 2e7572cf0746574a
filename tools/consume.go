package tools

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
)

// consuming is what consume was told.
type consuming struct {
	*cluster
	group  string
	tags   string
	body   string
	max    int
	follow bool
	force  bool
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
	s.cluster = newCluster(e, cmd)
	f := cmd.Flags()
	f.StringVar(&s.group, "group", "", "consumer `group` whose offsets are moved")
	f.StringVar(&s.tags, "tags", "", "only messages with one of these tags; the others are acknowledged too, as consumers do")
	f.IntVar(&s.max, "max", 0, "stop after so many messages; 0 is never")
	f.BoolVar(&s.follow, "follow", true, "wait for more at the end")
	f.BoolVar(&s.force, "force", false, "begin although the group has members")
	bodyFlag(cmd, &s.body)
	return cmd
}

func (s *consuming) run(ctx context.Context, topic string) error {
	if s.group == "" {
		return usagef("consume: --group is missing")
	}
	if err := checkBody(s.body); err != nil {
		return err
	}
	return s.with(func(cl *client.Client) error {
		route, err := cl.Route(ctx, topic)
		if err != nil {
			return err
		}
		if err := s.checkAlone(ctx, cl, route.Read); err != nil {
			return err
		}
		rows := newMessageRows(s.e, s.body)
		left := s.max
		f := following{
			e: s.e, cl: cl, group: s.group, tags: s.tags, follow: s.follow,
			start: func(ctx context.Context, q client.Queue) (int64, error) { return s.start(ctx, cl, q) },
			take: func(ctx context.Context, q client.Queue, ms []message.Message) (bool, error) {
				for i := range ms {
					rows.put(q, &ms[i])
					if left--; left == 0 {
						rows.flush()
						return true, s.acknowledge(ctx, cl, q, ms[i].QueueOffset+1)
					}
				}
				rows.flush() // shown before it is acknowledged
				return false, s.e.out.bad
			},
			passed: func(ctx context.Context, q client.Queue, next int64) error { return s.acknowledge(ctx, cl, q, next) },
		}
		rows.orSay("group %s has no message left in topic %s", s.group, topic)
		return endRows(rows.table, f.run(ctx, route.Read))
	})
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
