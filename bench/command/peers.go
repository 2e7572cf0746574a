package command

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/bench"
)

// versus is what duelog and its peers are compared by.
func versus(n int64) []bench.Workload {
	return []bench.Workload{
		&bench.Send{N: n, Mix: bench.MixHalfHour},
		&bench.Send{N: n, Mix: bench.MixHalfHour, Flow: bench.Flow{Batch: batchMessages}},
		&bench.Fire{N: n, Within: 10 * time.Second},
		&bench.Fire{N: n, Within: time.Second},
		&bench.Lateness{For: 20 * time.Second},
		&bench.Footprint{N: n},
		&bench.Recover{N: 5 * n},
	}
}

const (
	// paceMessages are sent to learn how fast a system is.
	paceMessages = 10_000
	// batchMessages share a request, a pipeline or a commit where all systems are
	// to have the same; the default is what suits each.
	batchMessages = 500
	// patience is how long publishing the messages of one run may take.
	patience = 15 * time.Second
)

// contest runs the comparison on all targets in turns. A system that is too slow
// for n messages gets a tenth, a hundredth, ...: one that syncs each message takes
// minutes for what another does in a second. Its params say so.
func (x *session) contest(ctx context.Context, n int64) error {
	targets, err := x.targets()
	if err != nil {
		return err
	}
	suites := make([][]bench.Workload, len(targets))
	for i, t := range targets {
		fit, err := x.fit(ctx, t, n)
		if err != nil {
			return err
		}
		if fit > 0 {
			suites[i] = versus(fit)
		}
	}
	for round := 1; round <= x.repeat; round++ {
		for step, w := range versus(n) {
			if err := x.measureLimits(ctx, w); err != nil {
				return err
			}
			for i, t := range targets {
				if suites[i] == nil {
					continue
				}
				if err := x.one(ctx, suites[i][step], t, round); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// fit returns how many messages t can take in time: n, or a tenth, ... It is 0 for
// a system that does not run at all, which then stands in the results once.
func (x *session) fit(ctx context.Context, t bench.Target, n int64) (int64, error) {
	x.screen.begin("%s (%s): how fast it is", t.Name, t.Mode)
	probe := &bench.Send{N: min(n, paceMessages), Mix: bench.MixHalfHour}
	r, err := bench.Run(ctx, probe, t, &bench.Options{Dir: x.scratch.path, Progress: x.screen.show})
	if ctx.Err() != nil {
		return 0, ctx.Err()
	}
	if err != nil {
		x.worse = x.worse || r.Failed()
		x.failed = x.failed || !errors.Is(err, bench.ErrUnsupported)
		x.screen.done(&r)
		x.file.Results = append(x.file.Results, r)
		return 0, x.out.save(x.file)
	}
	for n > 1000 && float64(n)/r.Metrics["send_per_s"] > patience.Seconds() {
		n /= 10
	}
	return n, nil
}

func peersCommand(p Process) *cobra.Command {
	var s settings
	var n int64
	var install bool
	cmd := &cobra.Command{
		Use: "peers", Short: "duelog and other schedulers of messages, in turns", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if install {
				fetch(cmd.Context(), p, s.systems)
			}
			x, err := newSession(s, p)
			if err != nil {
				return err
			}
			return x.close(x.contest(cmd.Context(), n))
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().Int64VarP(&n, "n", "n", 200_000, "messages of a run; five times as many are pending in recover; slow systems get a tenth, ...")
	cmd.Flags().BoolVar(&install, "install", false, "fetch the systems that this machine lacks")
	s.bind(cmd.Flags(), append([]string{"duelog"}, sorted(p.Peers)...)...)
	return cmd
}

// fetch gets what is missing. What cannot be had is said here, and again as
// skipped in the results.
func fetch(ctx context.Context, p Process, names []string) {
	if p.Install == nil {
		return
	}
	screen := newScreen(p.Err)
	defer screen.close()
	for name, err := range p.Install(ctx, p.Err, names...) {
		screen.say("%s: %v", name, err)
	}
}
