package tools

import (
	"context"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
)

// toolsGroup is the group that the verbs send and pull as; it exists everywhere.
const toolsGroup = "TOOLS_CONSUMER"

// scheduling is what schedule was told.
type scheduling struct {
	*cluster
	at, in string
	file   string
	tag    string
	id     string
	keys   []string
	props  []string
	queue  int32
}

func scheduleCommand(e *env) *cobra.Command {
	var s scheduling
	cmd := &cobra.Command{
		Use:   "schedule TOPIC [BODY]",
		Short: "Send a message that is delivered later",
		Long: `Send BODY to TOPIC, to be delivered at a time or after a while. Without BODY it is read from
--file, and from standard input when that is -.

--at takes a time by the clock of this machine: RFC 3339, "2026-12-24 18:00", "tomorrow
09:00", "friday 18:00", or 09:00, which is today's or, when that has passed, tomorrow's.
--in takes a duration (500ms, 30s, 2h30m, 5d) and counts by the broker's clock.

The topic is created when the broker may do that by itself. This verb writes.`,
		Example: `  duelogctl schedule orders 'close the order' --in 30s --key order-42
  duelogctl schedule orders --file order.json --at 'tomorrow 09:00' --tag reminder`,
		Args: between("TOPIC", "BODY"),
		RunE: func(cmd *cobra.Command, args []string) error { return s.run(cmd.Context(), args) },
	}
	s.cluster = newCluster(e, cmd)
	f := cmd.Flags()
	f.StringVar(&s.at, "at", "", "`time` at which it is delivered")
	f.StringVar(&s.in, "in", "", "`duration` after which it is delivered")
	f.StringVar(&s.file, "file", "", "`path` of the body, - for standard input")
	f.StringVar(&s.tag, "tag", "", "tag by which consumers filter")
	f.StringVar(&s.id, "id", "", "id of the message; the broker makes one otherwise")
	f.StringArrayVar(&s.keys, "key", nil, "key by which it is found; may be repeated")
	f.StringArrayVar(&s.props, "property", nil, "`NAME=VALUE` for the consumer; may be repeated")
	f.Int32Var(&s.queue, "queue", -1, "number of the queue; -1 lets the broker choose")
	return cmd
}

// between is a cobra.PositionalArgs that asks for one argument and takes a second.
func between(first, second string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		if len(args) == 2 {
			return nil
		}
		return arguments(first)(cmd, args[:min(len(args), 3)])
	}
}

func (s *scheduling) run(ctx context.Context, args []string) error {
	now := s.e.now()
	due, name, value, err := s.when(now)
	if err != nil {
		return err
	}
	body, err := s.body(args)
	if err != nil {
		return err
	}
	props, err := s.properties(name, value)
	if err != nil {
		return err
	}
	return s.with(func(cl *client.Client) error {
		sent, err := cl.Send(ctx, &client.Outgoing{Topic: args[0], Queue: s.queue, Body: body, Properties: props, Group: toolsGroup})
		if err != nil {
			return err
		}
		t := s.e.table("id", "topic", "broker", "queue", "due", "in", "offset_id")
		t.row(sent.ID, args[0], sent.Broker, sent.Queue, due, due.Sub(now).Round(time.Millisecond), sent.OffsetID)
		return t.close()
	})
}

// when says when the message is due, and by which property the broker is told.
func (s *scheduling) when(now time.Time) (due time.Time, name, value string, err error) {
	switch {
	case (s.at == "") == (s.in == ""):
		return due, "", "", usagef("schedule: give either --at TIME or --in DURATION")
	case s.in != "":
		d, err := parseDuration(s.in)
		if err != nil {
			return due, "", "", err
		}
		if d < 0 {
			return due, "", "", usagef("--in %s is in the past", s.in)
		}
		return now.Add(d), message.PropTimerDelayMs, strconv.FormatInt(d.Milliseconds(), 10), nil
	}
	if due, err = parseFuture(s.at, now); err != nil {
		return due, "", "", err
	}
	if due.Before(now) {
		return due, "", "", hint(usagef("--at %s is in the past: it is %s now", due.Format(timeLayout), now.Format(timeLayout)), "for at once, say --at now")
	}
	return due, message.PropTimerDeliverMs, strconv.FormatInt(due.UnixMilli(), 10), nil
}

// parseFuture is parseWhen for times that are to come: a time of day that has
// passed is tomorrow's, and a weekday is the next one.
func parseFuture(s string, now time.Time) (time.Time, error) {
	if first, rest, ok := strings.Cut(s, " "); ok {
		if day, ok := parseWeekday(first); ok {
			return onWeekday(day, rest, now)
		}
	}
	t, err := parseWhen(s, now)
	if err == nil && t.Before(now) && isTimeOfDay(s) {
		t, err = parseWhen("tomorrow "+s, now)
	}
	return t, err
}

func isTimeOfDay(s string) bool {
	return len(s) > 0 && s[0] >= '0' && s[0] <= '9' && strings.Contains(s, ":") && !strings.ContainsAny(s, "-T ")
}

// parseWeekday reads "friday" and "fri".
func parseWeekday(s string) (time.Weekday, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if name := d.String(); strings.EqualFold(s, name) || strings.EqualFold(s, name[:3]) {
			return d, true
		}
	}
	return 0, false
}

func onWeekday(day time.Weekday, clock string, now time.Time) (time.Time, error) {
	t, ok := parseDayTime(strings.TrimSpace(clock), now)
	if !ok {
		return t, usagef(`%q is not a time of day: write it like 18:00 or 18:00:30`, clock)
	}
	t = t.AddDate(0, 0, int(day-now.Weekday()+7)%7)
	if t.Before(now) {
		t = t.AddDate(0, 0, 7)
	}
	return t, nil
}

func (s *scheduling) body(args []string) ([]byte, error) {
	switch {
	case len(args) == 2 && s.file != "":
		return nil, usagef("schedule: give BODY or --file, not both")
	case len(args) == 2:
		return []byte(args[1]), nil
	case s.file == "-":
		return io.ReadAll(s.e.In)
	case s.file != "":
		return os.ReadFile(s.file)
	}
	return nil, usagef("schedule: BODY is missing; give it behind the topic or with --file")
}

// properties are those of the message; the last tells the broker when it is due.
func (s *scheduling) properties(when, value string) (string, error) {
	var b []byte
	for _, p := range s.props {
		name, value, ok := strings.Cut(p, "=")
		added := message.AppendProperty(b, name, value)
		if !ok || len(added) == len(b) {
			return "", usagef("--property %q: write it as NAME=VALUE, neither empty", p)
		}
		b = added
	}
	b = message.AppendProperty(b, message.PropUniqKey, s.id)
	b = message.AppendProperty(b, message.PropTags, s.tag)
	b = message.AppendProperty(b, message.PropKeys, strings.Join(s.keys, " "))
	return string(message.AppendProperty(b, when, value)), nil
}
