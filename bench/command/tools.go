package command

import (
	"errors"
	"maps"
	"slices"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/bench"
)

func sorted(s bench.Systems) []string { return slices.Sorted(maps.Keys(s)) }

func limitsCommand(p Process) *cobra.Command {
	var s settings
	var body int
	cmd := &cobra.Command{
		Use: "limits", Short: "What this machine can do at best", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			s.noLimits = false
			x, err := newSession(s, p)
			if err != nil {
				return err
			}
			return x.close(x.measureLimits(cmd.Context(), &bench.Send{Body: body}))
		},
	}
	cmd.Flags().IntVar(&body, "body", 1024, "bytes per body")
	s.repeat = 1 // has no flag here
	cmd.Flags().StringVar(&s.dir, "dir", "", "`directory` to write in; empty: the one for temporary files")
	s.out.bind(cmd.Flags())
	return cmd
}

func reportCommand(p Process) *cobra.Command {
	var o outputs
	cmd := &cobra.Command{
		Use: "report FILE", Short: "Make table, page and figures of a JSON file", Args: arguments(1, "a JSON file"),
		RunE: func(_ *cobra.Command, args []string) error {
			f, err := bench.ReadFile(args[0])
			if err != nil {
				return err
			}
			return o.write(p.Out, f)
		},
	}
	o.bindReports(cmd.Flags())
	return cmd
}

func compareCommand(p Process) *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use: "compare OLD NEW", Short: "Compare two JSON files; exit code 3 if something got worse",
		Long: `Compares the medians of what both files measured. A change counts when the runs of both files do
not overlap and it exceeds the noise: three times the spread of the repetitions, and at least 2 % for
bytes, 10 % for CPU time, 15 % for what a clock measured, 50 % for a 99th percentile; three times as
much where there is a single run, or for the clock where others kept the machine busy. A single run
is not judged by its 99th percentiles, nor on a busy machine by the clock. Run with --repeat 5 or
more to see small changes.`,
		Args: arguments(2, "two JSON files"),
		RunE: func(_ *cobra.Command, args []string) error {
			before, err := bench.ReadFile(args[0])
			if err != nil {
				return err
			}
			after, err := bench.ReadFile(args[1])
			if err != nil {
				return err
			}
			return judge(p, bench.Compare(before, after), all)
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "also show what did not change")
	return cmd
}

func arguments(n int, what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != n {
			return usageError{errors.New("name " + what)}
		}
		return nil
	}
}
