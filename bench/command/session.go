package command

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/duelog/duelog/bench"
	"github.com/duelog/duelog/bench/duelog"
	"github.com/duelog/duelog/bench/limit"
	"github.com/duelog/duelog/bench/probe"
)

// settings are the flags that all commands which measure have.
type settings struct {
	systems  []string
	modes    string
	addr     string
	duelogd  string
	dir      string
	repeat   int
	noLimits bool
	out      outputs
}

func (s *settings) bind(fs *pflag.FlagSet, systems ...string) {
	fs.StringSliceVar(&s.systems, "systems", systems, "`names` of the systems to measure, separated by commas")
	fs.StringVar(&s.modes, "modes", "durable", "`durable`: acknowledged after fsync; stock: as the system comes; both")
	fs.StringVar(&s.addr, "addr", "", "measure the broker at `HOST:PORT` instead")
	fs.StringVar(&s.duelogd, "duelogd", "", "`path` of the duelogd to measure; empty: built from this source")
	fs.StringVar(&s.dir, "dir", "", "`directory` on whose disk systems write; empty: the one for temporary files")
	fs.IntVar(&s.repeat, "repeat", 1, "how often everything is run; systems take turns")
	fs.BoolVar(&s.noLimits, "no-limits", false, "do not measure the limits of the machine")
	s.out.bind(fs)
}

// session runs workloads and collects their results.
type session struct {
	settings
	process Process
	file    *bench.File
	limits  *bench.Limits
	scratch *scratch // the directory of this run
	systems bench.Systems
	screen  *screen
	worse   bool // a system broke a promise
	failed  bool // something could not be measured
}

func newSession(s settings, p Process) (*session, error) {
	if s.repeat < 1 {
		return nil, usageError{errors.New("--repeat must be at least 1")}
	}
	if s.dir == "" {
		s.dir = os.TempDir()
	}
	if info, err := os.Stat(s.dir); err != nil || !info.IsDir() {
		return nil, usageError{fmt.Errorf("--dir %s is no directory", s.dir)}
	}
	scratch, err := newScratch(s.dir)
	if err != nil {
		return nil, err
	}
	x := &session{
		settings: s, process: p, scratch: scratch, screen: newScreen(p.Err),
		file: &bench.File{Schema: bench.Schema, Revision: revision(debug.ReadBuildInfo, p.Revision), Date: time.Now().UTC(), Machine: probe.ReadMachine(s.dir), Results: []bench.Result{}},
	}
	if !s.noLimits {
		x.limits = &bench.Limits{Config: limit.Config{Dir: scratch.path}}
	}
	program := binary{given: s.duelogd, dir: scratch.path}
	x.systems = duelog.Systems(program.path)
	maps.Copy(x.systems, p.Peers)
	if s.addr != "" {
		x.systems["remote"] = duelog.NewRemote(s.addr)
		x.settings.systems = []string{"remote"}
	}
	// Who looks finds valid JSON from the first moment; and a place that cannot be
	// written is known before hours of measuring.
	if err := x.out.save(x.file); err != nil {
		x.screen.close()
		return nil, errors.Join(err, scratch.remove())
	}
	return x, nil
}

// revision is the commit that this binary was built from: as Go recorded it, else as
// it was given to the linker.
func revision(read func() (*debug.BuildInfo, bool), given string) string {
	values := map[string]string{}
	if info, ok := read(); ok {
		for _, s := range info.Settings {
			values[s.Key] = s.Value
		}
	}
	rev := values["vcs.revision"]
	switch {
	case rev != "" && values["vcs.modified"] == "true":
		return rev + "-modified"
	case rev != "":
		return rev
	case given != "":
		return given
	}
	return "unknown"
}

// targets are the systems in the wanted modes.
func (x *session) targets() ([]bench.Target, error) {
	modes := map[string][]bench.Mode{
		"durable": {bench.Durable}, "stock": {bench.Stock}, "both": {bench.Durable, bench.Stock},
	}[x.modes]
	if modes == nil {
		return nil, usageError{fmt.Errorf("--modes %q is not one of durable, stock, both", x.modes)}
	}
	var out []bench.Target
	for _, name := range x.settings.systems {
		create, ok := x.systems[name]
		if !ok {
			return nil, usageError{fmt.Errorf("%q is no system; there are: %s", name, strings.Join(slices.Sorted(maps.Keys(x.systems)), ", "))}
		}
		for _, m := range modes {
			if m == bench.Stock && len(modes) > 1 && x.own(name) {
				continue // its default is durable, or it has no choice
			}
			out = append(out, bench.Target{New: create, Name: name, Mode: m})
		}
	}
	return out, nil
}

func (x *session) own(name string) bool {
	_, peer := x.process.Peers[name]
	return !peer
}

// run measures every workload on every target, in turns, and writes what there
// is whatever happens.
func (x *session) run(ctx context.Context, workloads []bench.Workload) error {
	targets, err := x.targets()
	if err != nil {
		return err
	}
	for round := 1; round <= x.repeat; round++ {
		for _, w := range workloads {
			if err := x.measureLimits(ctx, w); err != nil {
				return err
			}
			for _, t := range targets {
				if err := x.one(ctx, w, t, round); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// one measures one workload once. Only the end of ctx and a file that cannot be
// written stop a session; another failure is noted and the next run comes.
func (x *session) one(ctx context.Context, w bench.Workload, t bench.Target, round int) error {
	r, err := bench.Run(ctx, w, t, &bench.Options{Dir: x.scratch.path, Limits: x.limits, Round: round, Progress: x.screen.show})
	x.screen.done(&r)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	x.worse = x.worse || r.Failed()
	x.failed = x.failed || err != nil && !errors.Is(err, bench.ErrUnsupported)
	if x.limits != nil {
		again, lerr := x.limits.Correct(ctx, &r)
		if lerr != nil {
			return lerr
		}
		x.file.Results = append(x.file.Results, again...)
	}
	x.file.Results = append(x.file.Results, r)
	return x.out.save(x.file)
}

func (x *session) measureLimits(ctx context.Context, w bench.Workload) error {
	body := bench.BodyOf(w)
	if x.limits == nil || x.limits.Know(body) {
		return nil
	}
	x.screen.begin("limits of the machine, bodies of %d bytes", body)
	rs, err := x.limits.Measure(ctx, body)
	if err != nil {
		return err
	}
	x.file.Results = append(x.file.Results, rs...)
	return x.out.save(x.file)
}

// close writes the reports and removes what the session made. The error says
// how it went altogether.
func (x *session) close(err error) error {
	x.screen.close()
	if rerr := x.scratch.remove(); err == nil {
		err = rerr
	}
	if werr := x.out.write(x.process.Out, x.file); err == nil {
		err = werr
	}
	switch {
	case errors.Is(err, context.Canceled):
		return errors.New("interrupted; the results so far were written")
	case err != nil:
		return err
	case x.worse:
		return errWorse
	case x.failed:
		return errors.New("some runs failed; the table says which and why")
	}
	return nil
}

// measure is a whole command.
func measure(ctx context.Context, s settings, p Process, workloads []bench.Workload) error {
	x, err := newSession(s, p)
	if err != nil {
		return err
	}
	return x.close(x.run(ctx, workloads))
}

// binary is the duelogd to measure. It is built at its first use.
type binary struct {
	given, dir string
	built      string
	err        error
}

func (b *binary) path() (string, error) {
	if b.given != "" {
		return filepath.Abs(b.given)
	}
	if b.built == "" && b.err == nil {
		b.built, b.err = build(b.dir)
	}
	return b.built, b.err
}
