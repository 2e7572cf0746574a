package tools

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/client"
)

func lagCommand(e *env) *cobra.Command {
	var c *cluster
	var queues, all bool
	cmd := &cobra.Command{
		Use:   "lag [GROUP]",
		Short: "How far consumer groups are behind, per topic or queue",
		Long: `Show how many visible messages a group, or every group, has not acknowledged, per topic or
with --queues per queue, and from when the last acknowledged message is. Messages that
still wait for their time do not count.`,
		Example: `  duelogctl lag
  duelogctl lag audit --queues -o json`,
		Args: atMostOne("GROUP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return listLag(cmd.Context(), c, args, queues, all)
		},
	}
	c = newCluster(e, cmd)
	cmd.Flags().BoolVar(&queues, "queues", false, "a row per queue")
	cmd.Flags().BoolVar(&all, "all", false, "also topics in which nothing is left")
	return cmd
}

// atMostOne is a cobra.PositionalArgs for an argument that may be left out.
func atMostOne(name string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 0 {
			return nil
		}
		return arguments(name)(cmd, args)
	}
}

func listLag(ctx context.Context, c *cluster, args []string, queues, all bool) error {
	t := c.e.table("group", "topic", "broker", "queue", "committed", "end", "lag", "last")
	err := c.eachBroker(ctx, func(cl *client.Client, b client.Broker) error {
		names := args
		if len(names) == 0 {
			groups, err := cl.Groups(ctx, b.Addr)
			if err != nil {
				return err
			}
			for _, g := range groups {
				names = append(names, g.Name)
			}
		}
		for _, group := range names {
			progress, err := cl.ConsumeStats(ctx, b.Addr, group)
			if err != nil {
				return err
			}
			lagRows(t, group, b.Name, progress, queues, all || len(args) > 0)
		}
		return nil
	})
	return endRows(t, err)
}

// lagRows prints a group's progress, which is in the order of topics and queues.
func lagRows(t *table, group, broker string, progress []client.QueueProgress, queues, all bool) {
	for len(progress) > 0 {
		topic := progress[0].Queue.Topic
		n := 0
		var committed, end, lag, lastMs int64
		for n < len(progress) && progress[n].Queue.Topic == topic {
			p := &progress[n]
			committed, end, lag, lastMs = committed+p.Committed, end+p.Max, lag+p.Lag(), max(lastMs, p.LastMs)
			if queues && (all || p.Lag() > 0) {
				t.row(group, topic, broker, p.Queue.ID, p.Committed, p.Max, p.Lag(), ms(p.LastMs))
			}
			n++
		}
		if !queues && (all || lag > 0) {
			t.row(group, topic, broker, nil, committed, end, lag, ms(lastMs))
		}
		progress = progress[n:]
	}
}
