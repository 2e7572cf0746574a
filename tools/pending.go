package tools

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/client"
	"github.com/duelog/duelog/server/message"
)

// pendingView is what pending was told.
type pendingView struct {
	*cluster
	by, from, to string
	topic        string
	byTopic      bool
	list         bool
	limit        int
	body         string
}

func pendingCommand(e *env) *cobra.Command {
	var s pendingView
	cmd := &cobra.Command{
		Use:   "pending",
		Short: "What waits: per second, minute, hour or day, per topic, or one by one",
		Long: `Show how many messages wait for each second, minute, hour or day, as a table and a bar chart.
Without --to that is the next minute, hour, day or 31 days. The counts are exact, and asking
costs the broker little however many messages wait. The chart leaves out long times without
messages; the forms for programs have every row.

With --topic only one topic is counted, and --topics counts per topic: then the broker looks
at the messages one by one, 4 million at most, and a note says how far it came.

With --list the messages themselves are shown, in the order in which they fire.`,
		Example: `  duelogctl pending --by minute
  duelogctl pending --by day --to 90d -o csv
  duelogctl pending --topics --to 365d
  duelogctl pending --list --topic orders --from 'tomorrow 09:00' --limit 20`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return s.run(cmd.Context()) },
	}
	s.cluster = newCluster(e, cmd)
	f := cmd.Flags()
	f.StringVar(&s.by, "by", "minute", "second, minute, hour or day")
	f.StringVar(&s.from, "from", "now", "`time` from which on")
	f.StringVar(&s.to, "to", "", "`time` up to which")
	f.StringVar(&s.topic, "topic", "", "only this topic")
	f.BoolVar(&s.byTopic, "topics", false, "count per topic")
	f.BoolVar(&s.list, "list", false, "list messages instead of counting them")
	f.IntVar(&s.limit, "limit", 100, "list at most so many messages; 0 is all")
	bodyFlag(cmd, &s.body)
	_ = cmd.RegisterFlagCompletionFunc("by", cobra.FixedCompletions([]string{"second", "minute", "hour", "day"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// steps are the values of --by, and what is shown of them without --to.
var steps = map[string]struct {
	step, span time.Duration
	layout     string
}{
	"second": {time.Second, time.Minute, "15:04:05 -07:00"},
	"minute": {time.Minute, time.Hour, "15:04 -07:00"},
	"hour":   {time.Hour, 24 * time.Hour, "Mon 15:04 -07:00"},
	"day":    {24 * time.Hour, 31 * 24 * time.Hour, "Mon 2006-01-02 -07:00"},
}

// maxRanges is how many ranges a broker counts at once.
const maxRanges = 2000

func (s *pendingView) run(ctx context.Context) error {
	now := s.e.now()
	from, err := parseWhen(s.from, now)
	if err != nil {
		return err
	}
	unit, ok := steps[s.by]
	if !ok {
		return usagef("--by %q: it is second, minute, hour or day", s.by)
	}
	to := from.Add(unit.span)
	if s.to != "" {
		if to, err = parseWhen(s.to, now); err != nil {
			return err
		}
	} else if s.list || s.byTopic {
		to = time.UnixMilli(allTime)
	}
	if !to.After(from) {
		return usagef("--to %s is not after --from %s", to.Format(timeLayout), from.Format(timeLayout))
	}
	switch {
	case s.list:
		return s.listMessages(ctx, from, to)
	case s.byTopic:
		return s.countTopics(ctx, from, to)
	}
	return s.histogram(ctx, floor(from, unit.step), to, unit.step, unit.layout)
}

// floor is the beginning of the second, minute, hour or day in its zone.
func floor(t time.Time, step time.Duration) time.Time {
	if step == 24*time.Hour {
		year, month, day := t.Date()
		return time.Date(year, month, day, 0, 0, 0, 0, t.Location())
	}
	return t.Truncate(step)
}

func (s *pendingView) histogram(ctx context.Context, from, to time.Time, step time.Duration, layout string) error {
	n := int((to.Sub(from) + step - 1) / step)
	if n > maxRanges {
		return hint(usagef("%d rows are too many: a broker counts %d at once", n, maxRanges), "choose a coarser --by or an earlier --to")
	}
	counts := make([]int64, n)
	all, complete := int64(0), reached(0)
	err := s.eachBroker(ctx, func(cl *client.Client, b client.Broker) error {
		p, err := cl.PendingCounts(ctx, b.Addr, &client.PendingQuery{FromMs: from.UnixMilli(), StepMs: step.Milliseconds(), Ranges: n, Topic: s.topic})
		if err != nil {
			return err
		}
		for i := range min(len(p.Counts), n) {
			counts[i] += p.Counts[i]
		}
		all += p.Pending
		complete.take(p)
		return nil
	})
	if err != nil {
		return err
	}
	if err := s.chart(from, step, layout, counts); err != nil {
		return err
	}
	s.sumUp(counts, all)
	complete.tell(s.e)
	return nil
}

// chart prints the counts. People get bars, and are spared rows without messages.
func (s *pendingView) chart(from time.Time, step time.Duration, layout string, counts []int64) error {
	if !s.e.forPeople() {
		t := s.e.table("from", "to", "messages")
		for i, n := range counts {
			begin := from.Add(time.Duration(i) * step)
			t.row(begin, begin.Add(step), n)
		}
		return t.close()
	}
	t := s.e.table("from", "messages", "chart")
	most := slices.Max(append(counts, 0))
	for i := zeros(counts); i < len(counts); {
		if none := zeros(counts[i:]); i+none == len(counts) {
			break
		} else if none > maxZeros {
			t.row("...", nil, styled{"nothing for " + humanText(time.Duration(none)*step), faint})
			i += none
			continue
		}
		t.row(from.Add(time.Duration(i)*step).Local().Format(layout), counts[i], styled{bar(counts[i], most, chartWidth), green})
		i++
	}
	return t.close()
}

// maxZeros is how many rows without messages stand in a chart one after the other.
const maxZeros = 2

// zeros is how many counts at the beginning are 0.
func zeros(counts []int64) int {
	if i := slices.IndexFunc(counts, func(n int64) bool { return n != 0 }); i >= 0 {
		return i
	}
	return len(counts)
}

// chartWidth is the longest bar.
const chartWidth = 50

// bar draws n of most in at most width characters; what is not zero is seen.
func bar(n, most int64, width int) string {
	if n <= 0 || most <= 0 {
		return ""
	}
	return strings.Repeat("#", max(int(float64(n)/float64(most)*float64(width)+0.5), 1))
}

func (s *pendingView) sumUp(counts []int64, all int64) {
	shown := int64(0)
	for _, n := range counts {
		shown += n
	}
	if s.topic != "" {
		s.e.note("%d messages of topic %s shown", shown, s.topic)
	} else {
		s.e.note("%d messages shown, %d wait in all", shown, all)
	}
	if shown == 0 && all > 0 && s.to == "" && s.topic == "" {
		s.e.note("they are due later: duelogctl pending --by day --to 366d")
	}
}

// reached is up to when brokers have looked at what waits, if one of them stopped
// before the end; 0 if none did.
type reached int64

func (r *reached) take(p *client.PendingCounts) {
	if !p.Complete() && (*r == 0 || p.CompleteToMs < int64(*r)) {
		*r = reached(p.CompleteToMs)
	}
}

func (r reached) tell(e *env) {
	if r > 0 {
		e.note("of what waits only what is due before %s is counted: too many messages to look at", plainText(ms(int64(r))))
	}
}

func (s *pendingView) countTopics(ctx context.Context, from, to time.Time) error {
	topics := map[string]int64{}
	complete := reached(0)
	err := s.eachBroker(ctx, func(cl *client.Client, b client.Broker) error {
		p, err := cl.PendingCounts(ctx, b.Addr, &client.PendingQuery{
			FromMs: from.UnixMilli(), StepMs: to.UnixMilli() - from.UnixMilli(), Ranges: 1, Topic: s.topic, ByTopic: true,
		})
		if err != nil {
			return err
		}
		for topic, n := range p.Topics {
			topics[topic] += n
		}
		complete.take(p)
		return nil
	})
	if err != nil {
		return err
	}
	t := s.e.table("topic", "messages").orSay("nothing waits for that time")
	for _, topic := range slices.Sorted(maps.Keys(topics)) {
		t.row(topic, topics[topic])
	}
	complete.tell(s.e)
	return t.close()
}

func (s *pendingView) listMessages(ctx context.Context, from, to time.Time) error {
	if err := checkBody(s.body); err != nil {
		return err
	}
	if s.limit < 0 {
		return usagef("--limit %d: it must not be negative", s.limit)
	}
	now := s.e.now()
	t := s.e.table("due", "in", "topic", "broker", "queue", "id", "keys", "tags", "bytes", "body").orSay("nothing waits for that time")
	skipped, left := 0, s.limit
	err := s.eachBroker(ctx, func(cl *client.Client, b client.Broker) error {
		if s.limit > 0 && left == 0 {
			return nil
		}
		r := client.PendingRange{FromMs: from.UnixMilli(), ToMs: to.UnixMilli(), Topic: s.topic, WithoutBody: s.body == "none", Max: left, Skipped: &skipped}
		for x, err := range cl.Pending(ctx, b.Addr, r) {
			if err != nil {
				return err
			}
			var m message.Message
			if err := message.Decode(x.Record, &m); err != nil {
				return err
			}
			due := time.UnixMilli(x.FireMs)
			t.row(due, due.Sub(now).Round(time.Second), m.Topic, b.Name, m.QueueID, idOf(&m), orNil(message.Get(m.Properties, message.PropKeys)),
				orNil(message.Get(m.Properties, message.PropTags)), byteCount(x.BodySize), bodyCell(s.body, m.Body))
			left--
		}
		return nil
	})
	if err := endRows(t, err); err != nil {
		return err
	}
	if skipped > 0 {
		s.e.note("%d messages cannot be read; verify the store: duelogctl verify STORE", skipped)
		return errFindings
	}
	return nil
}
