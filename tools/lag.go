package tools

import (
	"context"
	"slices"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/remoting"
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
	t := c.e.table("group", "topic", "broker", "queue", "committed", "end", "lag", "last").orSay("no group is behind; those that have nothing left: duelogctl lag --all")
	if len(args) > 0 {
		t.orSay("group %s has acknowledged nothing yet", args[0])
	}
	err := c.eachGroup(ctx, args, func(cl *client.Client, b client.Broker, group string) error {
		progress, err := cl.ConsumeStats(ctx, b.Addr, group)
		if client.IsRefused(err, remoting.RespSubscriptionGroupAbsent) {
			return nil // deleted a moment ago
		}
		if err == nil {
			lagRows(t, group, b.Name, progress, queues, all || len(args) > 0)
		}
		return err
	})
	return endRows(t, err)
}

// eachGroup runs f for the groups of these names at every broker that has them, or for
// all groups. A name that no broker has is a mistake.
func (c *cluster) eachGroup(ctx context.Context, names []string, f func(cl *client.Client, b client.Broker, group string) error) error {
	seen := map[string]bool{}
	err := c.eachBroker(ctx, func(cl *client.Client, b client.Broker) error {
		groups, err := groupsAt(ctx, cl, b.Addr, names)
		if err != nil {
			return err
		}
		for _, group := range groups {
			seen[group] = true
			if err := f(cl, b, group); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		if !seen[name] {
			return hint(usagef("there is no consumer group %s", name), "duelogctl groups --all")
		}
	}
	return nil
}

// groupsAt lists those of names that a broker knows, if only by their offsets, or all
// groups.
func groupsAt(ctx context.Context, cl *client.Client, addr string, names []string) ([]string, error) {
	configs, err := cl.Groups(ctx, addr)
	if err != nil {
		return nil, err
	}
	var all, known []string
	for _, g := range configs {
		all = append(all, g.Name)
	}
	if len(names) == 0 {
		return all, nil
	}
	for _, name := range names {
		if !slices.Contains(all, name) {
			progress, err := cl.ConsumeStats(ctx, addr, name)
			if err != nil && !client.IsRefused(err, remoting.RespSubscriptionGroupAbsent) {
				return nil, err
			}
			if len(progress) == 0 {
				continue
			}
		}
		known = append(known, name)
	}
	return known, nil
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
