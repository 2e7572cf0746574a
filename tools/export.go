package tools

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
)

// exporting is what export was told.
type exporting struct {
	*cluster
	online   bool
	file     string
	zip      bool
	topic    string
	from, to string
}

func exportCommand(e *env) *cobra.Command {
	var s exporting
	cmd := &cobra.Command{
		Use:   "export (STORE | --online)",
		Short: "Write all messages that wait, as lines of JSON",
		Long: `Write the messages that wait, with bodies, properties, ids and fire times, as lines of JSON in
the order in which they fire, to standard output or to --file, compressed with zstd if its
name ends in .zst. duelogctl import reads them. --output does not apply.

With --online a running broker is asked, otherwise the files of a store are read, whether a
broker has it or not, without a lock. What is scheduled or fires meanwhile may be in the
export or not. A file gets its name only when it is complete. The exit code is 1 when some
messages cannot be read.`,
		Example: `  duelogctl export --online --file pending.jsonl.zst
  duelogctl export ./data --file pending.jsonl.zst
  duelogctl export --online --topic orders | jq .due`,
		Args: func(cmd *cobra.Command, args []string) error {
			if s.online {
				return arguments()(cmd, args)
			}
			return arguments("STORE")(cmd, args)
		},
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd.Context(), args) },
	}
	s.cluster = newCluster(e, cmd)
	f := cmd.Flags()
	f.BoolVar(&s.online, "online", false, "ask the brokers instead of reading a store")
	f.StringVar(&s.file, "file", "", "`path` of the export; standard output without")
	f.BoolVar(&s.zip, "zstd", false, "compress whatever the name of the file")
	f.StringVar(&s.topic, "topic", "", "only this topic")
	f.StringVar(&s.from, "from", "", "only what is due at this `time` or later")
	f.StringVar(&s.to, "to", "", "only what is due before this `time`")
	return cmd
}

// waiting is a message that waits, from wherever it is read.
type waiting struct {
	fireMs int64
	msg    message.Message // may be a view that ends with the next one
}

// selection is what of a source is wanted.
type selection struct {
	topic        string
	fromMs, toMs int64
	skipped      int // raised by messages that cannot be read
}

func (s *exporting) selection() (*selection, error) {
	sel := &selection{topic: s.topic, toMs: math.MaxInt64}
	for _, x := range []struct {
		text string
		ms   *int64
	}{{s.from, &sel.fromMs}, {s.to, &sel.toMs}} {
		if x.text == "" {
			continue
		}
		t, err := parseWhen(x.text, s.e.now())
		if err != nil {
			return nil, err
		}
		*x.ms = max(t.UnixMilli(), 1)
	}
	return sel, nil
}

func (s *exporting) run(ctx context.Context, args []string) error {
	sel, err := s.selection()
	if err != nil {
		return err
	}
	if !s.online {
		if err := s.checkFile(args[0]); err != nil {
			return err
		}
		return s.write(args[0], sel, offlineWaiting(ctx, s.e, args[0], sel))
	}
	return s.with(func(cl *client.Client) error {
		return s.write("brokers of "+s.namesrv, sel, onlineWaiting(ctx, cl, sel))
	})
}

// checkFile keeps an export from taking the place of a file of its store.
func (s *exporting) checkFile(dir string) error {
	if s.file == "" {
		return nil
	}
	return refuseWithin("export", "--file", s.file, dir)
}

// onlineWaiting asks every broker of a cluster.
func onlineWaiting(ctx context.Context, cl *client.Client, sel *selection) iter.Seq2[waiting, error] {
	return func(yield func(waiting, error) bool) {
		brokers, err := cl.Brokers(ctx)
		if err != nil {
			yield(waiting{}, err)
			return
		}
		for _, b := range brokers {
			r := client.PendingRange{FromMs: sel.fromMs, ToMs: sel.toMs, Topic: sel.topic, Skipped: &sel.skipped}
			for x, err := range cl.Pending(ctx, b.Addr, r) {
				w := waiting{fireMs: x.FireMs}
				if err == nil {
					err = message.Decode(x.Record, &w.msg)
				}
				if !yield(w, err) || err != nil {
					return
				}
			}
		}
	}
}

// write writes an export of what from yields.
func (s *exporting) write(source string, sel *selection, from iter.Seq2[waiting, error]) error {
	s.e.out.flush()
	w, err := newExportWriter(s.file, s.e.out, s.zip)
	if err != nil {
		return hint(fmt.Errorf("write the export: %w", err), "choose another --file")
	}
	n, err := writeExport(w, source, s.e.now(), sel, from)
	if err != nil {
		return errors.Join(err, w.abandon())
	}
	if err := w.finish(); err != nil {
		return hint(fmt.Errorf("write the export: %w", err), "free space or choose another --file, and run it again")
	}
	s.e.note("%d messages exported", n)
	if sel.skipped > 0 {
		s.e.note("%d messages cannot be read and are not in the export; verify the store: duelogctl verify STORE", sel.skipped)
		return errFindings
	}
	return nil
}

func writeExport(w *exportWriter, source string, now time.Time, sel *selection, from iter.Seq2[waiting, error]) (n int64, err error) {
	begin := func() error { // not before the source has something to say
		if w.begun {
			return nil
		}
		return w.put(exportHeader{Version: exportVersion, Source: source, Created: now.UTC().Format(timeLayout)})
	}
	for m, err := range from {
		if err != nil {
			return n, err
		}
		if err := errors.Join(begin(), w.put(exportMessage(&m.msg, m.fireMs))); err != nil {
			return n, fmt.Errorf("write the export: %w", err)
		}
		n++
	}
	if err := begin(); err != nil {
		return n, fmt.Errorf("write the export: %w", err)
	}
	if err := w.put(exportEnd{End: true, Messages: n, Skipped: int64(sel.skipped)}); err != nil {
		return n, fmt.Errorf("write the export: %w", err)
	}
	return n, nil
}
