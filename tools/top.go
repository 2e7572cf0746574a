package tools

import (
	"context"
	"errors"
	"math"
	"net/http"
	"time"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/server/client"
)

// watching is what top was told.
type watching struct {
	*cluster
	admin string
	every time.Duration
	count int
	ahead int
	http  http.Client
}

// adminEnv names the admin address when --admin does not.
const (
	adminEnv     = "DUELOG_ADMIN"
	defaultAdmin = "127.0.0.1:5557"
)

func topCommand(e *env) *cobra.Command {
	s := &watching{}
	cmd := &cobra.Command{
		Use:   "top",
		Short: "Live view: rates, lateness, what is due in the next seconds",
		Long: `Show every second what a broker does: messages per second that came in, that fired and that
were delivered, how late those of this second became visible, what waits, and what is due in
the next seconds. On a terminal it is one picture that changes, elsewhere a row per second.

Rates and lateness come from the broker's admin address (--admin-listen of duelogd), the rest
from the broker. Lateness is an upper bound, as exact as the steps of duelog_lateness_seconds.`,
		Example: `  duelogctl top
  duelogctl top --every 10s --count 6 -o jsonl`,
		Args: arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error { return stopped(cmd.Context(), true, s.run(cmd.Context())) },
	}
	s.cluster = newCluster(e, cmd)
	def := e.getenv(adminEnv)
	if def == "" {
		def = defaultAdmin
	}
	f := cmd.Flags()
	f.StringVar(&s.admin, "admin", def, "`HOST:PORT` of the broker's admin address; also "+adminEnv)
	f.DurationVar(&s.every, "every", time.Second, "time between two views")
	f.IntVar(&s.count, "count", 0, "stop after so many views; 0 is never")
	f.IntVar(&s.ahead, "ahead", 10, "seconds to look ahead")
	return cmd
}

func (s *watching) run(ctx context.Context) error {
	if s.every <= 0 || s.ahead < 1 || s.ahead > maxRanges {
		return usagef("--every must be positive, and --ahead between 1 and %d", maxRanges)
	}
	s.http.Timeout = s.timeout
	defer s.http.CloseIdleConnections()
	last, err := s.metrics(ctx)
	if err != nil {
		return err
	}
	at := time.Now()
	return s.with(func(cl *client.Client) error {
		show := s.rows()
		tick := time.NewTicker(s.every)
		defer tick.Stop()
		for n := 1; ; n++ {
			select {
			case <-ctx.Done():
				return show.close()
			case <-tick.C:
			}
			v, err := s.look(ctx, cl, &last, &at)
			if err != nil {
				return errors.Join(err, show.close())
			}
			show.put(v)
			if n == s.count {
				return show.close()
			}
		}
	})
}

// metrics reads the admin address.
func (s *watching) metrics(ctx context.Context) (metrics, error) {
	return readMetrics(ctx, &s.http, s.admin)
}

// view is one look at a broker.
type view struct {
	at              time.Time
	in, fired, out  float64 // per second
	fires           float64 // in this interval
	p50, p99, worst any     // lateness, a time.Duration or no value
	pending         int64
	overdue         int64
	behind          time.Duration
	full            bool
	next            []int64 // due in each of the next seconds
}

// look compares the metrics with the last ones and asks what is due next.
func (s *watching) look(ctx context.Context, cl *client.Client, last *metrics, at *time.Time) (*view, error) {
	now, err := s.metrics(ctx)
	if err != nil {
		return nil, err
	}
	t := time.Now()
	seconds := t.Sub(*at).Seconds()
	grown := func(name string) float64 {
		n := now.sum(name)
		if before := last.sum(name); before <= n {
			n -= before
		}
		return n
	}
	late := since(last.buckets(latenessName), now.buckets(latenessName))
	v := &view{
		at: s.e.now(), in: grown("rocketmq_messages_in_total") / seconds, out: grown("rocketmq_messages_out_total") / seconds,
		fires: grown("duelog_fired_total"), p50: lateText(late, 0.5), p99: lateText(late, 0.99), worst: lateText(late, 1),
		pending: int64(now.sum("duelog_pending_messages")), overdue: int64(now.sum("duelog_overdue_messages")),
		behind: time.Duration(now.sum("duelog_overdue_seconds") * float64(time.Second)), full: now.sum("duelog_disk_full") > 0,
	}
	v.fired = v.fires / seconds
	*last, *at = now, t
	v.next, err = s.nextSeconds(ctx, cl)
	return v, err
}

const latenessName = "duelog_lateness_seconds"

// lateText is a quantile of lateness as a duration.
func lateText(list []bucket, q float64) any {
	bound, ok := quantile(list, q)
	switch {
	case !ok:
		return nil
	case math.IsInf(bound, 1):
		return "more"
	}
	return time.Duration(bound * float64(time.Second)).Round(time.Millisecond)
}

// nextSeconds is what is due in the seconds that follow, over all brokers.
func (s *watching) nextSeconds(ctx context.Context, cl *client.Client) ([]int64, error) {
	brokers, err := cl.Brokers(ctx)
	if err != nil {
		return nil, err
	}
	total := make([]int64, s.ahead)
	for _, b := range brokers {
		q := client.PendingQuery{FromMs: s.e.now().Truncate(time.Second).UnixMilli(), StepMs: 1000, Ranges: s.ahead}
		p, err := cl.PendingCounts(ctx, b.Addr, &q)
		if err != nil {
			return nil, err
		}
		for i := range min(len(p.Counts), s.ahead) {
			total[i] += p.Counts[i]
		}
	}
	return total, nil
}
