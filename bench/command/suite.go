package command

import (
	"time"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/bench"
)

// short is a suite for every change: it ends within five minutes.
func short() []bench.Workload {
	return []bench.Workload{
		&bench.Send{N: 100_000},
		&bench.Send{N: 100_000, Mix: bench.MixHalfHour},
		&bench.Send{N: 100_000, Mix: bench.MixYear},
		&bench.Send{N: 2_000, Mix: bench.MixHalfHour, Flow: bench.Flow{Publishers: 1, Window: 1}},
		&bench.Fire{N: 100_000, Within: 5 * time.Second},
		&bench.Fire{N: 300_000, Within: time.Second},
		&bench.Lateness{For: 5 * time.Second},
		&bench.Mixed{Hot: 50_000, For: 6 * time.Second},
		&bench.Footprint{N: 50_000},
		&bench.Recover{N: 200_000},
		&bench.Scale{N: 10_000, Burst: 20_000},
		&bench.Scale{N: 100_000, Burst: 20_000},
	}
}

// full is what recorded results are made of.
func full() []bench.Workload {
	out := []bench.Workload{}
	for _, mix := range bench.Mixes {
		out = append(out, &bench.Send{N: 1_000_000, Mix: mix})
	}
	for _, body := range []int{128, 8 << 10} {
		out = append(out, &bench.Send{N: 200_000, Mix: bench.MixHalfHour, Body: body})
	}
	return append(out,
		&bench.Send{N: 20_000, Mix: bench.MixHalfHour, Flow: bench.Flow{Publishers: 1, Window: 1}},
		&bench.Send{N: 100_000, Mix: bench.MixHalfHour, Flow: bench.Flow{Publishers: 32, Window: 1}},
		&bench.Send{N: 1_000_000, Mix: bench.MixHalfHour, Flow: bench.Flow{Batch: 32}},
		&bench.Send{N: 300_000, Mix: bench.MixHalfHour, Flow: bench.Flow{Rate: 20_000}},
		&bench.Fire{N: 200_000, Within: 10 * time.Second},
		&bench.Fire{N: 500_000, Within: time.Second},
		&bench.Lateness{For: 20 * time.Second},
		&bench.Mixed{Slow: 10 * time.Millisecond, For: 20 * time.Second},
		&bench.Footprint{N: 500_000, Retention: true},
		&bench.Recover{N: 1_000_000},
		&bench.Scale{N: 10_000}, &bench.Scale{N: 100_000}, &bench.Scale{N: 1_000_000}, &bench.Scale{N: 10_000_000},
	)
}

func runCommand(p Process) *cobra.Command {
	var s settings
	var small bool
	cmd := &cobra.Command{
		Use: "run", Short: "Everything, on duelog embedded and over the wire", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			suite := full()
			if small {
				suite = short()
			}
			return measure(cmd.Context(), s, p, suite)
		},
	}
	cmd.Flags().SortFlags = false
	cmd.Flags().BoolVar(&small, "short", false, "small numbers: a few minutes instead of an hour")
	s.bind(cmd.Flags(), "embedded", "duelog")
	return cmd
}
