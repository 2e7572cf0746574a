package tools

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
)

// env is what the verbs of one run share: the process, the common flags, and
// where results go. Not safe for concurrent use, except note.
type env struct {
	Process
	out    *results
	format string     // --output
	json   bool       // --json
	quiet  bool       // --quiet
	warnMu sync.Mutex // guards Err in warn
	colour bool       // results go to a terminal that wants colour
}

func newEnv(p Process) *env {
	if p.In == nil {
		p.In = strings.NewReader("")
	}
	if p.Now == nil {
		p.Now = time.Now
	}
	e := &env{Process: p, out: newResults(p.Out)}
	e.colour = isTerminal(p.Out) && e.getenv("NO_COLOR") == "" && e.getenv("TERM") != "dumb"
	return e
}

// flags adds the flags that every verb has.
func (e *env) flags(root *cobra.Command) {
	f := root.PersistentFlags()
	f.StringVarP(&e.format, "output", "o", "table", "form of the results: "+strings.Join(formats, ", "))
	f.BoolVar(&e.json, "json", false, "the same as --output json")
	f.BoolVarP(&e.quiet, "quiet", "q", false, "print results and errors only: no headings, notes or progress")
	_ = root.RegisterFlagCompletionFunc("output", cobra.FixedCompletions(formats, cobra.ShellCompDirectiveNoFileComp))
	root.PersistentPreRunE = func(*cobra.Command, []string) error { return e.chooseFormat() }
}

func (e *env) chooseFormat() error {
	if e.json {
		e.format = "json"
	}
	for _, f := range formats {
		if e.format == f {
			return nil
		}
	}
	return usagef("unknown output format %q: it is one of %s", e.format, strings.Join(formats, ", "))
}

// getenv is os.Getenv on the process's environment.
func (e *env) getenv(name string) string {
	value := ""
	for _, kv := range e.Environ {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value = v
		}
	}
	return value
}

// now is the time by which a verb counts.
func (e *env) now() time.Time { return e.Now() }

// forPeople tells whether results are read by people rather than programs.
func (e *env) forPeople() bool { return e.format == "table" }

// note tells people something that is not a result.
func (e *env) note(format string, args ...any) {
	if e.quiet {
		return
	}
	e.out.flush() // so that both appear in order
	fmt.Fprintf(e.Err, format+"\n", args...)
}

// heading goes above a table, for people only.
func (e *env) heading(format string, args ...any) {
	if e.forPeople() && !e.quiet {
		fmt.Fprintf(e.out, "%s\n", e.paint(bold, fmt.Sprintf(format, args...)))
	}
}

// style is how a terminal shows a text.
type style string

// The styles, each the parameter of an ANSI SGR sequence.
const (
	plain  style = ""
	bold   style = "1"
	faint  style = "2"
	red    style = "31"
	green  style = "32"
	yellow style = "33"
)

// paint gives s a style, on terminals that want it.
func (e *env) paint(st style, s string) string {
	if !e.colour || !e.forPeople() || st == plain {
		return s
	}
	return "\x1b[" + string(st) + "m" + s + "\x1b[0m"
}

// results is the buffered standard output. It remembers the first error, so
// that printing code need not look at each.
type results struct {
	w   *bufio.Writer
	bad error
}

func newResults(w io.Writer) *results { return &results{w: bufio.NewWriterSize(w, 64<<10)} }

// Write implements io.Writer.
func (r *results) Write(b []byte) (int, error) {
	n, err := r.w.Write(b)
	return n, r.keep(err)
}

// flush hands out what is buffered.
func (r *results) flush() { _ = r.keep(r.w.Flush()) }

func (r *results) keep(err error) error {
	if err != nil && r.bad == nil {
		r.bad = fmt.Errorf("write results: %w", err)
	}
	return r.bad
}

// err flushes and returns the first error.
func (r *results) err() error {
	r.flush()
	return r.bad
}

// warn tells people something that is not a result, at once and from any
// goroutine: it does not wait for the results before it.
func (e *env) warn(format string, args ...any) {
	if e.quiet {
		return
	}
	e.warnMu.Lock()
	defer e.warnMu.Unlock()
	fmt.Fprintf(e.Err, "duelogctl: "+format+"\n", args...)
}
