package tools

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

// Process is what the command takes from the process that it runs in.
type Process struct {
	In       io.Reader // for verbs that read a stream; nil is empty
	Out, Err io.Writer // results; notes, progress and errors
	Environ  []string  // as of os.Environ
	// Now is the clock; nil means time.Now.
	Now func() time.Time
}

// verbs are the commands in the order of the help text, each under its heading.
var verbs = []struct {
	group string
	make  func(*env) *cobra.Command
}{
	{offline, inspectCommand},
	{offline, findCommand},
	{offline, verifyCommand},
	{offline, repairCommand},
	{offline, spaceCommand},

	{online, scheduleCommand},
	{online, cancelCommand},
	{online, rescheduleCommand},
	{online, tailCommand},
	{online, consumeCommand},
	{online, topicsCommand},
	{online, topicCommand},
	{online, groupsCommand},
	{online, groupCommand},
	{online, lagCommand},
	{online, pendingCommand},
	{online, topCommand},
	{online, statsCommand},

	{moving, exportCommand},
	{moving, importCommand},
	{moving, importRocketmqCommand},
	{moving, rebuildCommand},

	{other, manCommand},
	{other, versionCommand},
}

// The headings of the help text.
const (
	offline = "Look into a store:"
	online  = "Talk to a broker:"
	moving  = "Move messages:"
	other   = "Other:"
)

const longHelp = `duelogctl looks into duelog's stores and talks to its brokers.

STORE is a data directory: that of a broker, running or not, or a copy of one. Verbs
that look into a store only read and take no lock, unless their help says otherwise.

Times are given as RFC 3339 (2026-11-23T06:00:00Z), "2006-01-02 15:04", 15:04, "tomorrow
09:00", milliseconds since 1970 behind an @ (@1795413600000), or as a duration from
now: 30s, 2h, 7d, -1h.`

const examples = `  duelogctl verify ./data                       is everything there, and does it agree?
  duelogctl find order-42 ./data                what became of a message
  duelogctl inspect index ./data --by minute    what is pending, and when
  duelogctl repair ./data --out ./data-good     a good copy of a damaged store`

// Execute runs the command line args, without the program's name, and returns
// the exit code. It prints errors itself. The first SIGINT or SIGTERM ends the
// verb, a second one the process.
func Execute(ctx context.Context, args []string, p Process) int {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop)
	e := newEnv(p)
	root := newRoot(e)
	root.SetArgs(args)
	cmd, err := root.ExecuteContextC(ctx)
	if werr := e.out.err(); err == nil || errors.Is(err, errFindings) && werr != nil {
		err = werr // a result that could not be written is no result
	}
	e.report(cmd, err)
	return exitCode(err)
}

// report prints an error of a verb and its next step.
func (e *env) report(cmd *cobra.Command, err error) {
	if err == nil || errors.Is(err, errFindings) || err == context.Canceled {
		return
	}
	fmt.Fprintf(e.Err, "duelogctl: %v\n", err)
	next := cmp.Or(nextStep(err), usualStep(err))
	if next == "" && exitCode(err) == ExitUsage {
		next = cmd.CommandPath() + " --help"
	}
	if next != "" {
		fmt.Fprintf(e.Err, "next: %s\n", next)
	}
}

func newRoot(e *env) *cobra.Command {
	root := &cobra.Command{
		Use:           "duelogctl",
		Short:         "Look into duelog's stores and talk to its brokers",
		Long:          longHelp + "\n\n" + exitHelp,
		Example:       examples,
		Args:          unknownVerb,
		RunE:          func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.SetIn(e.In)
	root.SetOut(e.out)
	root.SetErr(e.Err)
	root.SetFlagErrorFunc(func(cmd *cobra.Command, err error) error {
		return hint(usageError{err}, "%s --help", cmd.CommandPath())
	})
	e.flags(root)
	for _, v := range verbs {
		if !root.ContainsGroup(v.group) {
			root.AddGroup(&cobra.Group{ID: v.group, Title: v.group})
		}
		cmd := v.make(e)
		cmd.GroupID = v.group
		root.AddCommand(cmd)
	}
	root.SetHelpCommand(helpCommand(root))
	root.SetCompletionCommandGroupID(other)
	root.SetHelpCommandGroupID(other)
	root.InitDefaultCompletionCmd("completion") // of which cobra would make one later
	if c, _, err := root.Find([]string{"completion"}); err == nil {
		c.Args, c.RunE = unknownVerb, verbMissing
	}
	return root
}

// verbMissing is what a command does that has only verbs.
func verbMissing(cmd *cobra.Command, _ []string) error {
	return hint(usagef("%s: a verb is missing", cmd.CommandPath()), "%s --help", cmd.CommandPath())
}

// helpCommand is cobra's but that a topic that there is not is a mistake.
func helpCommand(root *cobra.Command) *cobra.Command {
	return &cobra.Command{
		Use:     "help [VERB]...",
		Short:   "Help about any verb",
		Example: `  duelogctl help inspect segment`,
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			var names []string
			if cmd, rest, err := root.Find(args); err == nil && len(rest) == 0 {
				for _, sub := range cmd.Commands() {
					if sub.IsAvailableCommand() {
						names = append(names, sub.Name())
					}
				}
			}
			return names, cobra.ShellCompDirectiveNoFileComp
		},
		RunE: func(_ *cobra.Command, args []string) error {
			cmd, rest, err := root.Find(args)
			if err != nil {
				return unknownVerb(root, args)
			}
			if len(rest) > 0 {
				return unknownVerb(cmd, rest)
			}
			cmd.InitDefaultHelpFlag() // which cobra adds when a command runs
			return cmd.Help()
		},
	}
}

// unknownVerb is the cobra.PositionalArgs of a command that has only verbs.
func unknownVerb(cmd *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	err := usagef("unknown verb %q", args[0])
	cmd.SuggestionsMinimumDistance = 2
	if like := cmd.SuggestionsFor(args[0]); len(like) > 0 {
		return hint(err, "%s %s", cmd.CommandPath(), like[0])
	}
	return err
}

// arguments is a cobra.PositionalArgs that asks for exactly the named arguments.
func arguments(names ...string) cobra.PositionalArgs {
	return func(cmd *cobra.Command, args []string) error {
		switch {
		case len(args) < len(names):
			return hint(usagef("%s: %s is missing", cmd.CommandPath(), names[len(args)]), "%s --help", cmd.CommandPath())
		case len(args) > len(names):
			return hint(usagef("%s: unexpected argument %q", cmd.CommandPath(), args[len(names)]), "%s --help", cmd.CommandPath())
		}
		return nil
	}
}

func versionCommand(e *env) *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this binary",
		Args:  arguments(),
		Example: `  duelogctl version
  duelogctl version -o json`,
		RunE: func(*cobra.Command, []string) error {
			platform := runtime.GOOS + "/" + runtime.GOARCH
			if e.forPeople() {
				_, err := fmt.Fprintf(e.out, "duelogctl %s, %s, %s\n", version(), runtime.Version(), platform)
				return err
			}
			t := e.table("version", "go_version", "platform")
			t.row(version(), runtime.Version(), platform)
			return t.close()
		},
	}
}

// version is what the Go toolchain recorded: a tag, a pseudo-version, or "(devel)".
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
