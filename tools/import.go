package tools

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/client"
)

// importing is where messages go, and how; import-rocketmq shares it.
type importing struct {
	*cluster
	online       bool
	store        string
	broker       string
	skipExisting bool
	segmentSize  int64
}

// flags adds the flags of a verb that stores messages.
func (s *importing) flags(e *env, cmd *cobra.Command) {
	s.cluster = newCluster(e, cmd)
	f := cmd.Flags()
	f.BoolVar(&s.online, "online", false, "store them at a running broker")
	f.StringVar(&s.store, "store", "", "`directory` of a store that no broker has open; it is made if it does not exist")
	f.StringVar(&s.broker, "broker", "", "name of the broker, when the cluster has several")
	f.BoolVar(&s.skipExisting, "skip-existing", false, "leave out what waits there already")
	f.Int64Var(&s.segmentSize, "segment-size", 1<<30, "bytes of a commit-log file, for a store that is made")
}

// importHelp is what both verbs say of repeating them.
const importHelp = `Ids and fire times are kept. What is due by now is delivered at once. Missing topics are
created. A message is stored durably before it counts.

Repeating an import, also one that was cut short, stores everything once more, so that its
messages come twice. With --skip-existing those that still wait, with the same topic, id and
fire time, are left out; one that has fired since then comes again.`

func importCommand(e *env) *cobra.Command {
	var s importing
	cmd := &cobra.Command{
		Use:   "import FILE (--store DIR | --online)",
		Short: "Store what export wrote",
		Long: `Store the messages of an export, from FILE or from standard input for -, in a store that is
not in use or at a running broker. This verb writes.

` + importHelp + `

The exit code is 1 when messages were refused or the file has no end.`,
		Example: `  duelogctl import pending.jsonl.zst --online --skip-existing
  duelogctl export --online --namesrv old:9876 | duelogctl import - --online --namesrv new:9876`,
		Args: arguments("FILE"),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd.Context(), args[0]) },
	}
	s.flags(e, cmd)
	return cmd
}

func (s *importing) run(ctx context.Context, path string) error {
	r, err := openExport(path, s.e.In)
	if err != nil {
		return hint(err, "duelogctl export --help")
	}
	err = s.into(ctx, func(b *batcher) (bool, error) { return s.read(ctx, r, b) })
	return errors.Join(err, r.close())
}

// into opens the sink, lets fill give it messages, and reports.
func (s *importing) into(ctx context.Context, fill func(*batcher) (whole bool, err error)) error {
	switch {
	case s.online == (s.store != ""):
		return usagef("say where the messages go: either --store DIR or --online")
	case s.online:
		return s.with(func(cl *client.Client) error {
			addr, err := s.brokerAddr(ctx, cl)
			if err != nil {
				return err
			}
			return s.fill(ctx, &onlineSink{cl, addr}, fill)
		})
	}
	sink, err := openOfflineSink(s.store, s.segmentSize)
	if err != nil {
		return err
	}
	return s.fill(ctx, sink, fill)
}

// brokerAddr is the broker that --broker names, or the only one.
func (s *importing) brokerAddr(ctx context.Context, cl *client.Client) (string, error) {
	brokers, err := cl.Brokers(ctx)
	if err != nil {
		return "", err
	}
	for _, b := range brokers {
		if b.Name == s.broker || s.broker == "" && len(brokers) == 1 {
			return b.Addr, nil
		}
	}
	return "", hint(usagef("the cluster has %d brokers, and --broker names none of them", len(brokers)), "duelogctl stats lists them")
}

// maxRefusedShown bounds how many refusals are told one by one.
const maxRefusedShown = 1000

func (s *importing) fill(ctx context.Context, sink importSink, fill func(*batcher) (bool, error)) error {
	b := &batcher{sink: sink, skipExisting: s.skipExisting}
	b.refused = func(name, reason string) {
		if len(b.total.Refused) <= maxRefusedShown {
			s.e.note("%s was refused: %s", name, reason)
		}
	}
	whole, err := fill(b)
	if err == nil {
		err = b.flush(ctx)
	}
	if cerr := sink.close(); err == nil {
		err = cerr
	}
	t := s.e.table("imported", "due_now", "skipped", "refused")
	t.row(b.total.Imported, b.total.Due, b.total.Skipped, len(b.total.Refused))
	if terr := t.close(); err == nil {
		err = terr
	}
	switch {
	case err != nil:
		return hint(fmt.Errorf("import stopped after %d messages: %w", b.total.Imported, err), "mend the cause and run it again with --skip-existing")
	case len(b.total.Refused) > 0 || !whole:
		return errFindings
	}
	return nil
}

// read gives the messages of an export to b. whole is false when it has no end.
func (s *importing) read(ctx context.Context, r *exportReader, b *batcher) (whole bool, err error) {
	first := true
	for {
		line, err := r.next()
		if errors.Is(err, io.EOF) {
			s.e.note("%s ends before its end line: it was cut short, and there was more", r.name)
			return false, nil
		}
		if err != nil {
			return false, err
		}
		switch {
		case first && line.header == nil:
			return false, fmt.Errorf("%s is no export: its first line is not the header", r.name)
		case first && line.header.Version > exportVersion:
			return false, hint(fmt.Errorf("%s has version %d, this duelogctl reads up to %d", r.name, line.header.Version, exportVersion), "use the duelogctl that wrote it, or a newer one")
		case line.end != nil:
			return true, nil
		case line.msg != nil:
			m, err := line.msg.message()
			if err == nil {
				err = b.add(ctx, m, line.msg.DueMs, fmt.Sprintf("line %d (%s)", r.number, line.msg.ID))
			}
			if err != nil {
				return false, fmt.Errorf("%s, line %d: %w", r.name, r.number, err)
			}
		}
		first = false
	}
}
