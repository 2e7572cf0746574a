package tools

import (
	"context"
	"strings"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/remoting"
)

func topicsCommand(e *env) *cobra.Command {
	var c *cluster
	var all bool
	cmd := &cobra.Command{
		Use:   "topics",
		Short: "List topics with what is in them and what waits for them",
		Long: `List the topics of every broker: their queues, how many messages can be read, how many wait
for their time, and when the last one became visible.

The topics that brokers make for themselves, retry and dead-letter topics among them, are
left out unless they hold something or --all is given.`,
		Example: `  duelogctl topics
  duelogctl topics --all -o csv`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return listTopics(cmd.Context(), c, all) },
	}
	c = newCluster(e, cmd)
	cmd.Flags().BoolVar(&all, "all", false, "the brokers' own topics too")
	return cmd
}

func listTopics(ctx context.Context, c *cluster, all bool) error {
	t := c.e.table("topic", "broker", "read_queues", "write_queues", "perm", "messages", "pending", "last").orSay("no topics; the brokers' own: duelogctl topics --all")
	return c.rows(ctx, t, func(cl *client.Client, b client.Broker) error {
		configs, err := cl.TopicConfigs(ctx, b.Addr)
		if err != nil {
			return err
		}
		pending, err := pendingByTopic(ctx, c.e, cl, b.Addr)
		if err != nil {
			return err
		}
		for i := range configs {
			if err := topicRow(ctx, cl, t, b, &configs[i], pending, all); err != nil {
				return err
			}
		}
		return nil
	})
}

func topicRow(ctx context.Context, cl *client.Client, t *table, b client.Broker, topic *client.TopicConfig, pending map[string]int64, all bool) error {
	queues, err := cl.TopicStats(ctx, b.Addr, topic.Name)
	if client.IsRefused(err, remoting.RespTopicNotExist) {
		return nil // deleted a moment ago
	}
	if err != nil {
		return err
	}
	var messages, lastMs int64
	for _, q := range queues {
		messages += q.Max - q.Min
		lastMs = max(lastMs, q.LastMs)
	}
	if !all && messages == 0 && pending[topic.Name] == 0 && isSystemTopic(topic.Name, b) {
		return nil
	}
	t.row(topic.Name, b.Name, topic.ReadQueues, topic.WriteQueues, permText(topic.Perm), messages, pending[topic.Name], ms(lastMs))
	return nil
}

// pendingByTopic is how many messages wait per topic; none for a broker that
// cannot tell.
func pendingByTopic(ctx context.Context, e *env, cl *client.Client, addr string) (map[string]int64, error) {
	counts, err := cl.PendingCounts(ctx, addr, &client.PendingQuery{StepMs: allTime, Ranges: 1, ByTopic: true})
	if client.IsRefused(err, remoting.RespRequestCodeNotSupported) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var r reached
	r.take(counts)
	r.tell(e)
	return counts.Topics, nil
}

// allTime is longer, in ms, than any fire time.
const allTime = int64(1) << 48

// isSystemTopic tells whether a broker made the topic for itself.
func isSystemTopic(name string, b client.Broker) bool {
	switch name {
	case b.Name, b.Cluster, "TBW102", "SELF_TEST_TOPIC", "BenchmarkTest", "SCHEDULE_TOPIC_XXXX", "TRANS_CHECK_MAX_TIME_TOPIC", "OFFSET_MOVED_EVENT":
		return true
	}
	for _, prefix := range []string{"RMQ_SYS_", "rmq_sys_", "%RETRY%", "%DLQ%", "rocketmq-broker-"} {
		if strings.HasPrefix(name, prefix) {
			return true
		}
	}
	return strings.HasSuffix(name, "_REPLY_TOPIC")
}

// permText shows what may be done with a topic.
func permText(perm int32) string {
	text := ""
	if perm&client.PermRead != 0 {
		text += "r"
	}
	if perm&client.PermWrite != 0 {
		text += "w"
	}
	if text == "" {
		return "-"
	}
	return text
}

// parsePerm reads r, w and rw.
func parsePerm(s string) (int32, error) {
	for _, perm := range []int32{client.PermRead, client.PermWrite, client.PermRead | client.PermWrite} {
		if s == permText(perm) {
			return perm, nil
		}
	}
	return 0, usagef("--perm %q: it is r, w or rw", s)
}

func topicCommand(e *env) *cobra.Command {
	return verbsOf("topic", "Create or delete a topic", topicCreate(e), topicDelete(e))
}

func topicCreate(e *env) *cobra.Command {
	var c *cluster
	var queues int32
	var perm string
	cmd := &cobra.Command{
		Use:   "create TOPIC",
		Short: "Create a topic, or change its queues",
		Long: `Create a topic at every broker, or change one that exists. Fewer queues than before hide
messages; they do not delete any. This verb writes.`,
		Example: `  duelogctl topic create orders --queues 8`,
		Args:    arguments("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			bits, err := parsePerm(perm)
			if err != nil {
				return err
			}
			t := e.table("topic", "broker", "queues", "perm")
			return c.rows(cmd.Context(), t, func(cl *client.Client, b client.Broker) error {
				config := client.TopicConfig{Name: args[0], ReadQueues: queues, WriteQueues: queues, Perm: bits}
				if err := cl.CreateTopic(cmd.Context(), b.Addr, &config); err != nil {
					return err
				}
				t.row(args[0], b.Name, queues, perm)
				return nil
			})
		},
	}
	c = newCluster(e, cmd)
	cmd.Flags().Int32Var(&queues, "queues", 8, "number of queues for reading and for writing")
	cmd.Flags().StringVar(&perm, "perm", "rw", "what is allowed: r, w or rw")
	return cmd
}

func topicDelete(e *env) *cobra.Command {
	var c *cluster
	var force bool
	cmd := &cobra.Command{
		Use:   "delete TOPIC",
		Short: "Delete a topic with all its messages",
		Long: `Delete a topic at every broker: its messages, those that still wait, and how far groups were.
This verb writes, and nothing brings the messages back. It refuses to delete a topic for
which messages wait, unless --force is given.`,
		Example: `  duelogctl topic delete orders`,
		Args:    arguments("TOPIC"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return deleteTopic(cmd.Context(), c, args[0], force)
		},
	}
	c = newCluster(e, cmd)
	cmd.Flags().BoolVar(&force, "force", false, "also when messages wait for it")
	return cmd
}

func deleteTopic(ctx context.Context, c *cluster, topic string, force bool) error {
	return c.with(func(cl *client.Client) error {
		if _, err := cl.Route(ctx, topic); err != nil {
			return err
		}
		brokers, err := cl.Brokers(ctx)
		if err != nil {
			return err
		}
		waiting := int64(0)
		for _, b := range brokers {
			pending, err := pendingByTopic(ctx, c.e, cl, b.Addr)
			if err != nil {
				return err
			}
			waiting += pending[topic]
		}
		if waiting > 0 && !force {
			return hint(usagef("%d messages wait for topic %s and would be lost", waiting, topic),
				"keep them: duelogctl export --online --topic %s --file %s.jsonl.zst; or delete all the same: --force", topic, topic)
		}
		if err := cl.DeleteTopic(ctx, topic); err != nil {
			return err
		}
		t := c.e.table("deleted", "pending_dropped")
		t.row(topic, waiting)
		return t.close()
	})
}
