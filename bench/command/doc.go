// Package command is the command line of duelog-bench: it makes workloads of
// flags, runs them, and writes what package report makes of the results.
//
// Results are written to the JSON file at the start and after every run, replacing it
// as a whole. The first Ctrl-C, or the end of the terminal, ends the run that goes on,
// whose processes and directories are removed, and the results so far stay; a second
// one kills this process, and the kernel kills its children with it. What a killed one
// leaves on disk is removed by the next session that has the same --dir.
//
// Exit codes: 0 all ran; 1 something could not be run, or ended by Ctrl-C; 2 wrong
// flag; 3 a system broke a promise, or compare found a regression.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/duelog/duelog/bench"
)

// Exit codes.
const (
	ExitOK     = 0
	ExitFailed = 1
	ExitUsage  = 2
	ExitWorse  = 3
)

// errWorse is the error of a broken promise and of a regression.
var errWorse = errors.New("see above")

// usageError marks mistakes on the command line.
type usageError struct{ error }

// Process is what a command takes from the process that it runs in.
type Process struct {
	Out, Err io.Writer
	// Peers are the systems to compare with, by name; nil: none.
	Peers bench.Systems
	// Install fetches those of the named peers that are missing, and returns why a
	// peer cannot be had, by name. It may be nil.
	Install func(ctx context.Context, log io.Writer, names ...string) map[string]error
	// Revision is that of the source, for results, if Go recorded none; "": unknown.
	Revision string
}

// Execute runs the command line args, without the program's name, and returns
// the exit code. It prints errors itself.
func Execute(ctx context.Context, args []string, p Process) int {
	ctx, stop := signal.NotifyContext(ctx, endings()...)
	defer stop()
	context.AfterFunc(ctx, stop) // the second signal ends the process
	cmd := newCommand(p)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	var usage usageError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &usage):
		fmt.Fprintf(p.Err, "duelog-bench: %v\n", err)
		return ExitUsage
	case errors.Is(err, errWorse):
		return ExitWorse
	}
	fmt.Fprintf(p.Err, "duelog-bench: %v\n", err)
	return ExitFailed
}

// endings are the signals that end a command in order. nohup ignores the end of the
// terminal, and so does what it starts.
func endings() []os.Signal {
	out := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) {
		out = append(out, syscall.SIGHUP)
	}
	return out
}

const longHelp = `duelog-bench measures duelog, other schedulers of messages, and what the machine could
do at best, in one run.

A run checks itself: a message that was lost, came twice, came before its time or was
altered fails the run, and no figure of it is shown. Rates are of this machine at this
moment. CPU time per message, bytes and fractions of the limits keep their meaning
elsewhere; every result says how busy the machine was with other work.`

const examples = `  duelog-bench run --short                      everything, small, in a few minutes
  duelog-bench run --json full.json --html full.html --repeat 5
  duelog-bench send --mix year --rate 20000     an open loop at 20,000 messages/s
  duelog-bench fire --n 500000 --within 1s      a hot second
  duelog-bench scale --max 100000000            from 10,000 to 100 M pending
  duelog-bench lateness --addr 127.0.0.1:10911  a broker that runs already
  duelog-bench peers --systems duelog,redis,postgres --install
  duelog-bench compare old.json new.json        exit code 3 if something got worse`

func newCommand(p Process) *cobra.Command {
	root := &cobra.Command{
		Use:           "duelog-bench",
		Short:         "Measure duelog, its peers and the limits of the machine",
		Long:          longHelp,
		Example:       examples,
		Args:          cobra.NoArgs,
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetOut(p.Out)
	root.SetErr(p.Err)
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return usageError{err} })
	root.CompletionOptions.HiddenDefaultCmd = true
	for _, w := range workloadCommands {
		root.AddCommand(w(p))
	}
	root.AddCommand(runCommand(p), peersCommand(p), limitsCommand(p), reportCommand(p), compareCommand(p), versusCommand(p))
	return root
}
