package server

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
)

const longHelp = `duelogd is a message broker for scheduled messages that RocketMQ clients use unmodified.

It starts a name server and a broker in one process. Point a client's name server
address at it, send a message with a time up to a year ahead, and it arrives then.

Every setting has three spellings: the flag --flush-every, the environment variable
DUELOG_FLUSH_EVERY, and the line "flush-every: 1s" in the YAML file of --config.
A flag wins over the environment, the environment over the file, the file over the
default; --print-config shows what holds and why.`

const examples = `  duelogd                                     all defaults, on loopback
  duelogd --demo                              and show that it works
  duelogd --listen 0.0.0.0:10911 --namesrv-listen 0.0.0.0:9876 --advertise 192.0.2.7
                                              reachable for other machines
  duelogd --config duelog.yaml --print-config what would hold, and from where
`

const exitHelp = `Exit codes:
  0 stopped as asked   1 failed   2 wrong flag or configuration
  3 address in use     4 store in use by another process
  128+N second signal N during a stop
`

// Process is what the command takes from the process it runs in.
type Process struct {
	Out     io.Writer // banner, demo, --print-config
	Err     io.Writer // log and errors
	Environ []string  // as of os.Environ
	// Exit ends the process at once, for a second signal. Nil: the command
	// listens to no signals, and the context of Execute alone stops it.
	Exit func(code int)
}

// Execute runs the command line args (without the program's name) and returns
// when the broker has stopped. ExitCode gives the exit code for its error, which
// is printed already.
func Execute(ctx context.Context, args []string, p Process) error {
	cmd := newCommand(p)
	cmd.SetArgs(args)
	err := cmd.ExecuteContext(ctx)
	if err != nil {
		fmt.Fprintf(p.Err, "duelogd: %v\n", err)
	}
	return err
}

func newCommand(p Process) *cobra.Command {
	settings := NewSettings()
	var file string
	var print bool
	cmd := &cobra.Command{
		Use:           "duelogd",
		Short:         "A message broker for scheduled messages, for RocketMQ clients",
		Long:          longHelp,
		Example:       examples,
		Args:          noArguments,
		SilenceUsage:  true,
		SilenceErrors: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return start(cmd.Context(), settings, file, print, p)
		},
	}
	cmd.Flags().AddFlagSet(settings.Flags())
	cmd.Flags().StringVar(&file, "config", "", "YAML `file` with settings; also DUELOG_CONFIG")
	cmd.Flags().BoolVar(&print, "print-config", false, "print every setting with its value and origin, as YAML, and exit")
	cmd.SetOut(p.Out)
	cmd.SetErr(p.Err)
	cmd.SetFlagErrorFunc(func(_ *cobra.Command, err error) error {
		return usageError{fmt.Errorf("%w; see duelogd --help", err)}
	})
	cmd.SetUsageFunc(func(c *cobra.Command) error { return usage(c, settings) })
	cmd.CompletionOptions.HiddenDefaultCmd = true
	cmd.AddCommand(versionCommand())
	return cmd
}

// noArguments refuses "duelogd sync" where "duelogd --flush sync" was meant.
func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return usageError{fmt.Errorf("unexpected argument %q; settings are flags, see duelogd --help", args[0])}
	}
	return nil
}

func versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "version",
		Short: "Print the version of this binary",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), versionLine())
			return err
		},
	}
}

// usage prints the flags by heading instead of by alphabet.
func usage(c *cobra.Command, s *Settings) error {
	if c.HasParent() {
		_, err := fmt.Fprintf(c.OutOrStderr(), "Usage:\n  %s\n", c.UseLine())
		return err
	}
	_, err := fmt.Fprintf(c.OutOrStderr(), `Usage:
  duelogd [flags]
  duelogd version

Examples:
%s
%sConfiguration:
      --config file      YAML file with settings; also DUELOG_CONFIG
      --print-config     print every setting with its value and origin, as YAML, and exit
  -h, --help             this text

%s`, examples, s.usage(helpColumns), exitHelp)
	return err
}

// helpColumns is the width to which the help text is wrapped.
const helpColumns = 100

// start loads the configuration and prints it or runs with it.
func start(ctx context.Context, s *Settings, file string, print bool, p Process) error {
	cfg, err := s.Load(configPath(file, p.Environ), p.Environ)
	if print {
		if perr := s.Print(p.Out); perr != nil {
			return perr
		}
	}
	if err != nil {
		return usageError{err}
	}
	if print {
		return nil
	}
	log, err := newLogger(p.Err, cfg)
	if err != nil {
		return usageError{err}
	}
	if p.Exit != nil {
		var release func()
		ctx, release = stopOnSignal(ctx, log, p.Exit)
		defer release()
	}
	return Run(ctx, cfg, &Options{Out: p.Out, Logger: log})
}

// configPath is the file of --config, or else of DUELOG_CONFIG.
func configPath(flag string, environ []string) string {
	if flag != "" {
		return flag
	}
	for _, kv := range environ {
		if path, ok := strings.CutPrefix(kv, EnvPrefix+"CONFIG="); ok {
			return path
		}
	}
	return ""
}
