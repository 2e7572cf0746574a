package tools

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"github.com/spf13/cobra"
)

// defaultLevels are RocketMQ's.
const defaultLevels = "1s 5s 10s 30s 1m 2m 3m 4m 5m 6m 7m 8m 9m 10m 20m 30m 1h 2h"

func importRocketmqCommand(e *env) *cobra.Command {
	var s importing
	var levels string
	var dryRun bool
	cmd := &cobra.Command{
		Use:   "import-rocketmq STORE_DIR (--store DIR | --online | --dry-run)",
		Short: "Take over what waits in a store of Apache RocketMQ",
		Long: `Read a store of Apache RocketMQ (storePathRootDir, with commitlog and config in it) and schedule
what waits there: messages of the timer and of the delay levels, consumer retries included.
The RocketMQ broker should be stopped; its store is only read. This verb writes to the store
or broker that it imports to.

A message waits if the commit log has no copy of it in its real topic behind it, config/
delayOffset.json does not call it delivered, and nothing cancels it. In doubt it is imported:
it may come twice, but it comes. Exact times are kept; where only the time rounded by the
timer is known it is due up to a second later.

` + importHelp + `

Topics keep the number of their queues. Consumer offsets and messages that have been delivered
are not taken over. The exit code is 1
when the store is damaged or messages were refused.`,
		Example: `  duelogctl import-rocketmq ~/store --dry-run
  duelogctl import-rocketmq ~/store --store ./data`,
		Args: arguments("STORE_DIR"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return s.fromRocketmq(cmd.Context(), args[0], levels, dryRun)
		},
	}
	s.flags(e, cmd)
	cmd.Flags().StringVar(&levels, "levels", defaultLevels, "messageDelayLevel of the broker that wrote the store")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "only say what waits there")
	return cmd
}

func (s *importing) fromRocketmq(ctx context.Context, dir, levels string, dryRun bool) error {
	if s.store != "" && !dryRun {
		if err := refuseWithin("import-rocketmq", "--store", s.store, dir); err != nil {
			return err
		}
	}
	src, err := openRocketmqStore(dir, levels)
	if err != nil {
		return hint(err, "name the directory that storePathRootDir of broker.conf says: it has commitlog in it")
	}
	if err := src.scan(); err != nil {
		return err
	}
	s.e.note("%d messages in the commit log: %d were scheduled, %d of them delivered, %d cancelled, %d wait",
		src.seen.messages, src.seen.scheduled, src.seen.delivered, src.seen.cancelled, len(src.waiting))
	if src.seen.damaged > 0 {
		s.e.note("%d stretches of the commit log are no messages; what stood there is lost", src.seen.damaged)
	}
	if dryRun {
		err = s.summary(src)
	} else {
		err = s.into(ctx, func(b *batcher) (bool, error) { return src.seen.damaged == 0, s.give(ctx, src, b) })
	}
	if err == nil && src.seen.damaged > 0 {
		err = errFindings
	}
	return err
}

// summary prints what waits per topic.
func (s *importing) summary(src *rocketmqStore) error {
	type row struct {
		n           int64
		first, last int64
	}
	byTopic := map[string]row{}
	for _, w := range src.waiting {
		topic := src.topics[w.topic]
		r := byTopic[topic]
		if r.n == 0 || w.fireMs < r.first {
			r.first = w.fireMs
		}
		r.n, r.last = r.n+1, max(r.last, w.fireMs)
		byTopic[topic] = r
	}
	t := s.e.table("topic", "messages", "first_due", "last_due")
	for _, name := range slices.Sorted(maps.Keys(byTopic)) {
		r := byTopic[name]
		t.row(name, r.n, ms(r.first), ms(r.last))
	}
	return t.close()
}

// give hands what waits to b, in the order of the log, which is read once more.
func (s *importing) give(ctx context.Context, src *rocketmqStore, b *batcher) error {
	for _, name := range src.topics {
		t, ok := src.configs[name]
		if !ok {
			continue // it is made by its first message
		}
		if err := b.sink.topic(ctx, &t); err != nil {
			s.e.note("topic %s is not created: %v", name, err) // and its messages will be refused
		}
	}
	fireMs := make(map[int64]int64, len(src.waiting)) // by offset
	for _, w := range src.waiting {
		fireMs[w.offset] = w.fireMs
	}
	for m, err := range src.log.each() {
		if err != nil {
			return err
		}
		due, ok := fireMs[m.PhysicalOffset]
		if !ok {
			continue
		}
		name := fmt.Sprintf("the message at %d", m.PhysicalOffset)
		out, err := restored(&m)
		if err != nil {
			b.refuse(name, err.Error())
			continue
		}
		if err := b.add(ctx, out, due, name); err != nil {
			return err
		}
	}
	return nil
}
