package tools

import (
	"context"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/client"
)

func statsCommand(e *env) *cobra.Command {
	var c *cluster
	cmd := &cobra.Command{
		Use:   "stats",
		Short: "The brokers of the cluster and their figures",
		Long: `Show every broker that the name server knows with the figures that it gives about itself, under
their names in the protocol. For rates and lateness see duelogctl top.`,
		Example: `  duelogctl stats
  duelogctl stats -o jsonl | grep duelogPending`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return showStats(cmd.Context(), c) },
	}
	c = newCluster(e, cmd)
	return cmd
}

func showStats(ctx context.Context, c *cluster) error {
	t := c.e.table("broker", "name", "value")
	return c.rows(ctx, t, func(cl *client.Client, b client.Broker) error {
		t.row(b.Name, "address", b.Addr)
		t.row(b.Name, "cluster", b.Cluster)
		info, err := cl.RuntimeInfo(ctx, b.Addr)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(info)) {
			t.row(b.Name, name, info[name])
		}
		return nil
	})
}
