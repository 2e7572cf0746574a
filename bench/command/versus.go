package command

import (
	"context"
	"errors"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/bench/report"
)

// versusCommand compares two binaries. They take turns, so that what else goes on
// at the machine hits both.
func versusCommand(p Process) *cobra.Command {
	var s settings
	var oldJSON string
	cmd := &cobra.Command{
		Use: "versus OLD NEW", Short: "Run two duelogd binaries in turns and compare them",
		Args: arguments(2, "two duelogd binaries"),
		RunE: func(cmd *cobra.Command, args []string) error {
			return versusBinaries(cmd.Context(), s, oldJSON, args, p)
		},
	}
	cmd.Flags().StringVar(&oldJSON, "json-old", "", "write results of the old binary to this `file`")
	cmd.Flags().StringVar(&s.out.json, "json", "", "write results of the new binary to this `file`")
	cmd.Flags().StringVar(&s.dir, "dir", "", "`directory` on whose disk systems write; empty: the one for temporary files")
	cmd.Flags().IntVar(&s.repeat, "repeat", 5, "how often everything is run")
	return cmd
}

func versusBinaries(ctx context.Context, s settings, oldJSON string, binaries []string, p Process) error {
	s.systems, s.modes, s.noLimits, s.out.quiet = []string{"duelog"}, "durable", true, true
	var sides [2]*session
	var err error
	for i, path := range binaries {
		side := s
		side.duelogd = path
		if side.repeat = 1; i == 0 {
			side.out.json = oldJSON
		}
		x, nerr := newSession(side, p)
		if nerr != nil {
			err = nerr
			break
		}
		sides[i] = x
	}
	if err == nil {
		err = alternate(ctx, sides, s.repeat)
	}
	for _, x := range sides {
		if x == nil {
			continue
		}
		if cerr := x.close(err); err == nil && !errors.Is(cerr, errWorse) { // the comparison tells
			err = cerr
		}
	}
	if err != nil {
		return err
	}
	return judge(p, bench.Compare(sides[0].file, sides[1].file), false)
}

// alternate runs the short suite on both, repeat times.
func alternate(ctx context.Context, sides [2]*session, repeat int) error {
	for round := 1; round <= repeat; round++ {
		for _, w := range short() {
			for i := range sides {
				x := sides[(i+round)%2] // who begins changes too
				target := bench.Target{New: x.systems["duelog"], Name: "duelog"}
				if err := x.one(ctx, w, target, round); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// judge prints a comparison; its error says that something got worse.
func judge(p Process, c *bench.Comparison, all bool) error {
	if err := report.Comparison(p.Out, c, all); err != nil {
		return err
	}
	if c.Regressed() {
		return errWorse
	}
	return nil
}
