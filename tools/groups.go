package tools

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/remoting"
)

func groupsCommand(e *env) *cobra.Command {
	var c *cluster
	var all bool
	cmd := &cobra.Command{
		Use:   "groups",
		Short: "List consumer groups with their members and what they have left",
		Long: `List the consumer groups of every broker: how many members consume at present, how many
topics they have begun, how many visible messages they have not acknowledged, and from when
the last acknowledged one is.`,
		Example: `  duelogctl groups -o jsonl`,
		Args:    arguments(),
		RunE:    func(cmd *cobra.Command, _ []string) error { return listGroups(cmd.Context(), c, all) },
	}
	c = newCluster(e, cmd)
	cmd.Flags().BoolVar(&all, "all", false, "the brokers' own groups too")
	return cmd
}

func listGroups(ctx context.Context, c *cluster, all bool) error {
	t := c.e.table("group", "broker", "members", "topics", "lag", "last").orSay("no consumer groups; the brokers' own: duelogctl groups --all")
	return c.rows(ctx, t, func(cl *client.Client, b client.Broker) error {
		groups, err := cl.Groups(ctx, b.Addr)
		if err != nil {
			return err
		}
		for _, g := range groups {
			members, err := cl.Members(ctx, b.Addr, g.Name)
			if err != nil {
				return err
			}
			progress, err := cl.ConsumeStats(ctx, b.Addr, g.Name)
			if client.IsRefused(err, remoting.RespSubscriptionGroupAbsent) {
				continue // deleted a moment ago
			}
			if err != nil {
				return err
			}
			if !all && isSystemGroup(g.Name) && len(members) == 0 && len(progress) == 0 {
				continue
			}
			topics, lag, lastMs := sumProgress(progress)
			t.row(g.Name, b.Name, len(members), topics, lag, ms(lastMs))
		}
		return nil
	})
}

// sumProgress adds up what a group has in its queues.
func sumProgress(progress []client.QueueProgress) (topics int, lag, lastMs int64) {
	seen := map[string]bool{}
	for i := range progress {
		p := &progress[i]
		seen[p.Queue.Topic] = true
		lag += p.Lag()
		lastMs = max(lastMs, p.LastMs)
	}
	return len(seen), lag, lastMs
}

// isSystemGroup tells whether brokers make the group for themselves.
func isSystemGroup(name string) bool {
	for _, prefix := range []string{"TOOLS_CONSUMER", "SELF_TEST_", "CID_ONS", "CID_RMQ_SYS_", "FILTERSRV_CONSUMER"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return false
}

func groupCommand(e *env) *cobra.Command {
	return verbsOf("group", "Delete a consumer group", groupDelete(e))
}

func groupDelete(e *env) *cobra.Command {
	var c *cluster
	cmd := &cobra.Command{
		Use:   "delete GROUP",
		Short: "Delete a consumer group and how far it was",
		Long: `Delete a consumer group at every broker, with its offsets: when it comes back it begins anew.
It is refused while the group has members. This verb writes.`,
		Example: `  duelogctl group delete audit`,
		Args:    arguments("GROUP"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return deleteGroup(cmd.Context(), c, args[0])
		},
	}
	c = newCluster(e, cmd)
	return cmd
}

func deleteGroup(ctx context.Context, c *cluster, group string) error {
	if err := c.eachGroup(ctx, []string{group}, func(*client.Client, client.Broker, string) error { return nil }); err != nil {
		return err
	}
	t := c.e.table("deleted", "broker")
	err := c.eachGroup(ctx, []string{group}, func(cl *client.Client, b client.Broker, group string) error {
		members, err := cl.Members(ctx, b.Addr, group)
		if err != nil {
			return err
		}
		if len(members) > 0 {
			return hint(usagef("group %s has %d members and would come back at once", group, len(members)), "stop its consumers first; duelogctl groups lists them")
		}
		if err := cl.DeleteGroup(ctx, b.Addr, group); err != nil {
			return err
		}
		t.row(group, b.Name)
		return nil
	})
	return endRows(t, err)
}
