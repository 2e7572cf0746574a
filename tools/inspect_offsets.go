package tools

import (
	"cmp"
	"fmt"
	"maps"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/broker"
	"github.com/duelog/duelog/store"
)

func inspectOffsets(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "offsets FILE|STORE",
		Short: "How far the consumer groups are",
		Long: `Show the consumer offsets of a store beside the slots that its queues held at the last
checkpoint. A negative lag is normal in a store in use: offsets and checkpoints are
written at different moments.`,
		Example: `  duelogctl inspect offsets ./data`,
		Args:    arguments("FILE|STORE"),
		RunE: func(_ *cobra.Command, args []string) error {
			return e.offsets(storeOf(args[0], filepath.Join(configDir, "offsets.json")))
		},
	}
}

func (e *env) offsets(dir string) error {
	m, err := readManifest(dir)
	if err != nil {
		return err
	}
	table, usedBackup, err := broker.ReadOffsets(filepath.Join(dir, configDir))
	if err != nil {
		return hint(fmt.Errorf("read consumer offsets: %w", err), "put config/offsets.json back from a copy, or delete it with its .bak: consumers then begin anew")
	}
	if usedBackup {
		e.note("config/offsets.json is damaged or missing; this is its backup, the content before the last")
	}
	queues := map[string]store.ManifestQueue{}
	for _, q := range m.Queues {
		queues[queueKey(q.Topic, q.Num)] = q
	}
	t := e.table("topic", "group", "queue", "offset", "min", "next", "lag")
	for _, o := range slices.SortedFunc(maps.Keys(table), func(a, b broker.OffsetOf) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Group, b.Group), cmp.Compare(a.Queue, b.Queue))
	}) {
		at := table[o]
		q, ok := queues[queueKey(o.Topic, o.Queue)]
		if !ok {
			t.row(o.Topic, o.Group, o.Queue, at, nil, nil, nil)
			continue
		}
		t.row(o.Topic, o.Group, o.Queue, at, q.Min, q.Next, q.Next-at)
	}
	return t.close()
}

func queueKey(topic string, num int32) string { return fmt.Sprintf("%s/%d", topic, num) }
