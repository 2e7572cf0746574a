package tools

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

func manCommand(e *env) *cobra.Command {
	var dir string
	cmd := &cobra.Command{
		Use:   "man",
		Short: "Write the manual pages, one for each verb",
		Long: `Write the manual pages of duelogctl and all its verbs as DIR/duelogctl-VERB.1. This verb
writes: it replaces the pages of an earlier version.`,
		Example: `  duelogctl man --dir ~/.local/share/man/man1`,
		Args:    arguments(),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if dir == "" {
				return usagef("man: --dir is missing")
			}
			return writeManual(cmd.Root(), dir)
		},
	}
	cmd.Flags().StringVar(&dir, "dir", "", "`directory` for the pages; it is made if it does not exist")
	return cmd
}

func writeManual(root *cobra.Command, dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return hint(fmt.Errorf("write manual: %w", err), "choose another --dir")
	}
	return eachVerb(root, func(cmd *cobra.Command) error {
		var page strings.Builder
		manPage(&page, cmd)
		path := filepath.Join(dir, manName(cmd)+".1")
		if err := os.WriteFile(path, []byte(page.String()), 0o644); err != nil {
			return hint(fmt.Errorf("write manual: %w", err), "choose another --dir")
		}
		return nil
	})
}

// eachVerb calls do for cmd and all below it that a user is told of.
func eachVerb(cmd *cobra.Command, do func(*cobra.Command) error) error {
	if err := do(cmd); err != nil {
		return err
	}
	for _, sub := range cmd.Commands() {
		if !sub.IsAvailableCommand() || sub.Name() == "help" {
			continue
		}
		if err := eachVerb(sub, do); err != nil {
			return err
		}
	}
	return nil
}

func manName(cmd *cobra.Command) string { return strings.ReplaceAll(cmd.CommandPath(), " ", "-") }

// manPage writes the page of one verb in the man macros of troff.
func manPage(w io.Writer, cmd *cobra.Command) {
	fmt.Fprintf(w, ".TH %q 1 \"\" %q \"duelog\"\n", strings.ToUpper(manName(cmd)), version())
	fmt.Fprintf(w, ".SH NAME\n%s \\- %s\n", roff(manName(cmd)), roff(cmd.Short))
	fmt.Fprintf(w, ".SH SYNOPSIS\n.B %s\n", roff(cmd.UseLine()))
	long := cmd.Long
	if long == "" {
		long = cmd.Short + "."
	}
	fmt.Fprintf(w, ".SH DESCRIPTION\n.nf\n%s\n.fi\n", roff(long))
	manFlags(w, "OPTIONS", cmd.NonInheritedFlags())
	manFlags(w, "COMMON OPTIONS", cmd.InheritedFlags())
	if cmd.Example != "" {
		fmt.Fprintf(w, ".SH EXAMPLES\n.nf\n%s\n.fi\n", roff(cmd.Example))
	}
	if cmd.HasParent() {
		fmt.Fprintf(w, ".SH EXIT STATUS\n.nf\n%s\n.fi\n", roff(strings.TrimRight(strings.TrimPrefix(exitHelp, "Exit codes:\n"), "\n")))
	}
	manSeeAlso(w, cmd)
}

func manFlags(w io.Writer, title string, flags *pflag.FlagSet) {
	if !flags.HasAvailableFlags() {
		return
	}
	fmt.Fprintf(w, ".SH %s\n", title)
	flags.VisitAll(func(f *pflag.Flag) {
		if f.Hidden {
			return
		}
		name := "--" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		value, usage := pflag.UnquoteUsage(f)
		if value != "" {
			name += " " + value
		}
		if f.DefValue != "" && f.DefValue != "false" && f.DefValue != "[]" {
			usage += " (default " + f.DefValue + ")"
		}
		fmt.Fprintf(w, ".TP\n.B %s\n%s\n", roff(name), roff(usage))
	})
}

func manSeeAlso(w io.Writer, cmd *cobra.Command) {
	var pages []string
	if cmd.HasParent() {
		pages = append(pages, manName(cmd.Parent()))
	}
	for _, sub := range cmd.Commands() {
		if sub.IsAvailableCommand() && sub.Name() != "help" {
			pages = append(pages, manName(sub))
		}
	}
	for i, page := range pages {
		if i == 0 {
			fmt.Fprint(w, ".SH SEE ALSO\n")
		}
		sep := ","
		if i == len(pages)-1 {
			sep = ""
		}
		fmt.Fprintf(w, ".BR %s (1)%s\n", roff(page), sep)
	}
}

// roff escapes what troff would take for itself.
func roff(s string) string {
	s = strings.NewReplacer(`\`, `\e`, `-`, `\-`).Replace(s)
	lines := strings.Split(s, "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, ".") || strings.HasPrefix(line, "'") {
			lines[i] = `\&` + line
		}
	}
	return strings.Join(lines, "\n")
}
